package prove

// The standards that probes speak of, 45 CFR 164 as in force.
const (
	access     = "45 CFR 164.312(a)(1)"        // access control
	unique     = "45 CFR 164.312(a)(2)(i)"     // unique user identification
	encryption = "45 CFR 164.312(a)(2)(iv)"    // encryption and decryption
	audited    = "45 CFR 164.312(b)"           // audit controls
	integrity  = "45 CFR 164.312(c)(1)"        // integrity
	person     = "45 CFR 164.312(d)"           // person or entity authentication
	transit    = "45 CFR 164.312(e)(1)"        // transmission security
	inTransit  = "45 CFR 164.312(e)(2)(ii)"    // encryption in transit
	minimum    = "45 CFR 164.308(a)(4)(i)"     // information access management
	isolated   = "45 CFR 164.308(a)(3)(i)"     // workforce security: who may not, cannot
	sysReview  = "45 CFR 164.308(a)(1)(ii)(D)" // information system activity review
)

// controls says what each probe proves. A probe that is not here fails.
var controls = map[string][]string{
	"chart.walls":       {access, minimum, "S2", "S20", "S21", "S23", "S25", "T1", "T25"},
	"chart.rows":        {access, "S20", "S22", "T1"},
	"chart.append-only": {integrity, audited, "S54", "T22"},
	"control.walls":     {access, isolated, "S6", "S25", "T25"},
	"keys.walls":        {access, isolated, "S25", "S43", "T25"},
	"keys.lease":        {person, encryption, "S46", "T7"},
	"seal.bound":        {encryption, integrity, "S42", "T6"},
	"index.blind":       {encryption, "S47", "T31"},
	"ledger.whole":      {audited, integrity, "S54", "S55", "T22"},
	"log.allow-list":    {access, "S61", "T11"},
	"front.own":         {access, "S14"},
	"front.foreign-id":  {access, "S19", "T2", "T31"},
	"front.search":      {access, "S19", "S67", "T3"},
	"front.bundle":      {access, "S19", "T4"},
	"front.write":       {access, integrity, "S19", "T4"},
	"front.cursor":      {access, "S19", "T13"},
	"front.token":       {unique, person, "S27", "T16"},
	"front.forged":      {person, "S27", "T16"},
	"front.expired":     {person, "S27", "T16"},
	"front.host":        {access, "S16", "T17"},
	"front.spoofed":     {access, "S16", "T17"},
	"front.tls":         {transit, inTransit, "S39"},
	"front.management":  {minimum, "S63"},
	"front.audit":       {audited, sysReview, "S56", "S59"},
	"front.metrics":     {access, "S61", "T11"},
	"front.target":      {access, person, "S16", "S27", "T16"},
}
