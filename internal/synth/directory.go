package synth

import "fmt"

// trade is what a member of staff does.
type trade struct {
	role, specialty code
	title           string
}

var (
	roleDoctor = hl7("practitioner-role", "doctor", "Doctor")
	roleNurse  = hl7("practitioner-role", "nurse", "Nurse")
)

var (
	tradeFamily    = trade{roleDoctor, snomed("419772000", "Family practice"), "MD"}
	tradePediatric = trade{roleDoctor, snomed("394537008", "Pediatric specialty"), "MD"}
	tradeInternal  = trade{roleDoctor, snomed("419192003", "Internal medicine"), "DO"}
	tradeEmergency = trade{roleDoctor, snomed("773568002", "Emergency medicine"), "MD"}
	tradeObstetric = trade{roleDoctor, snomed("394585009", "Obstetrics and gynecology"), "MD"}
	tradeNurse     = trade{roleNurse, snomed("408443003", "General medical practice"), "NP"}
)

// posts is who works where, by the order of their staff numbers: a post
// depends on its number alone, the name that fills it on the seed.
var posts = []struct {
	site  int
	trade trade
}{
	{0, tradeFamily}, {0, tradeInternal}, {0, tradePediatric}, {0, tradeNurse}, {0, tradeObstetric},
	{1, tradeFamily}, {1, tradeInternal}, {1, tradePediatric}, {1, tradeNurse}, {1, tradeObstetric},
	{2, tradeFamily}, {2, tradeInternal}, {2, tradePediatric}, {2, tradeNurse}, {2, tradeObstetric},
	{3, tradeFamily}, {3, tradeInternal}, {3, tradePediatric}, {3, tradeNurse}, {3, tradeObstetric},
	{4, tradeFamily}, {4, tradeNurse},
	{5, tradeEmergency}, {5, tradeInternal}, {5, tradeObstetric},
	{6, tradeEmergency}, {6, tradeInternal}, {6, tradeObstetric},
}

// Places within one site's posts.
const (
	postsPerClinic   = 5
	postPediatric    = 2
	postObstetric    = 4
	postsPerHospital = 3
)

// worker is a member of staff.
type worker struct {
	id, ref, name string
	full          fullName
	female        bool
}

// hire names the staff of a population.
func hire(seed uint64) []worker {
	staff := make([]worker, len(posts))
	for i, p := range posts {
		d := newDice(seed, 1<<63|uint64(i))
		w := worker{id: fmt.Sprintf("S%04d", i+1), female: d.chance(0.5)}
		w.full = d.name(d.culture(), w.female)
		w.ref = "Practitioner?identifier=" + idStaff + "|" + w.id
		w.name = w.full.plain() + ", " + p.trade.title
		staff[i] = w
	}
	return staff
}

// Directory is the batch of organizations, locations, practitioners and their
// roles that patients of this seed refer to. It is loaded before them; entries
// carry ifNoneExist by identifier, so loading it twice adds nothing. Its own
// references are logical (by identifier), for entries of a batch may not
// depend on each other (FHIR R4 http.html#brules).
func Directory(seed uint64) []byte {
	b := newBundle(seed, 1<<63, "batch", nil)
	for i, s := range sites {
		kind := hl7("organization-type", "prov", "Healthcare Provider")
		b.organization(orgID(i), s.name, kind, func() {
			b.one("telecom")
			b.str("system", "phone")
			b.str("value", s.where.area+"-555-01"+fmt.Sprintf("%02d", i))
			b.str("use", "work")
			b.endOne()
			b.one("address")
			b.address(s.street, s.where)
			b.endOne()
		})
	}
	for i, name := range payers {
		b.organization(payerID(i), name, hl7("organization-type", "pay", "Payer"), func() {})
	}
	for i, s := range sites {
		b.location(i, s)
	}
	for i, w := range hire(seed) {
		b.practitioner(w, posts[i].trade)
		b.practitionerRole(w, posts[i].site, posts[i].trade)
	}
	return b.close()
}

func (b *bundle) organization(id, name string, kind code, more func()) {
	b.begin(b.mint(), "Organization")
	b.one("identifier")
	b.identifier(idOrg, id)
	b.endOne()
	b.boolean("active", true)
	b.concepts("type", kind)
	b.str("name", name)
	more()
	b.postUnless("Organization", "identifier="+idOrg+"|"+id)
}

func (b *bundle) location(i int, s site) {
	kind := hl7("v3-RoleCode", "PC", "Primary care clinic")
	if s.hospital {
		kind = hl7("v3-RoleCode", "HOSP", "Hospital")
	}
	b.begin(b.mint(), "Location")
	b.one("identifier")
	b.identifier(idLocation, locationID(i))
	b.endOne()
	b.str("status", "active")
	b.str("name", s.name)
	b.str("mode", "instance")
	b.concepts("type", kind)
	b.obj("address")
	b.address(s.street, s.where)
	b.end()
	b.logical("managingOrganization", idOrg, orgID(i), s.name)
	b.postUnless("Location", "identifier="+idLocation+"|"+locationID(i))
}

func (b *bundle) practitioner(w worker, t trade) {
	b.begin(b.mint(), "Practitioner")
	b.one("identifier")
	b.identifier(idStaff, w.id)
	b.endOne()
	b.boolean("active", true)
	b.one("name")
	b.str("use", "official")
	b.str("family", w.full.family)
	b.strs("given", w.full.given)
	b.strs("suffix", t.title)
	b.endOne()
	b.str("gender", gender(w.female))
	b.postUnless("Practitioner", "identifier="+idStaff+"|"+w.id)
}

func (b *bundle) practitionerRole(w worker, at int, t trade) {
	b.begin(b.mint(), "PractitionerRole")
	b.one("identifier")
	b.identifier(idStaff, w.id+"-R")
	b.endOne()
	b.boolean("active", true)
	b.logical("practitioner", idStaff, w.id, w.name)
	b.logical("organization", idOrg, orgID(at), sites[at].name)
	b.concepts("code", t.role)
	b.concepts("specialty", t.specialty)
	b.arr("location")
	b.item()
	b.obj("identifier")
	b.identifier(idLocation, locationID(at))
	b.end()
	b.end()
	b.endArr()
	b.postUnless("PractitionerRole", "identifier="+idStaff+"|"+w.id+"-R")
}

// logical writes a Reference by identifier.
func (w *writer) logical(k, system, value, display string) {
	w.obj(k)
	w.obj("identifier")
	w.identifier(system, value)
	w.end()
	w.str("display", display)
	w.end()
}
