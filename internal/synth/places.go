package synth

import (
	"fmt"
	"strconv"
)

// place is a town the synthetic region consists of.
type place struct{ city, state, zip, area string }

var places = []place{
	{"Columbus", "OH", "43215", "614"}, {"Columbus", "OH", "43201", "614"},
	{"Dublin", "OH", "43017", "614"}, {"Westerville", "OH", "43081", "614"},
	{"Dayton", "OH", "45402", "937"}, {"Springfield", "OH", "45505", "937"},
	{"Delaware", "OH", "43015", "740"}, {"Newark", "OH", "43055", "740"},
	{"Lancaster", "OH", "43130", "740"}, {"Athens", "OH", "45701", "740"},
	{"Mansfield", "OH", "44902", "419"}, {"Marion", "OH", "43302", "740"},
}

var streets = words("Maple Oak Chestnut Walnut Mill Church High Garfield Linden Prospect Sycamore Canal Harrison Locust")

var streetKinds = words("Street Avenue Road Lane Court Drive")

// site is where care happens. Its identifiers are its number, not the seed's,
// so that every population finds the same sites.
type site struct {
	name     string
	where    place
	street   string
	hospital bool
	urgent   bool
}

var sites = []site{
	{name: "Olentangy Family Medicine", where: places[0], street: "410 Canal Street"},
	{name: "Hocking Valley Primary Care", where: places[8], street: "77 Mill Road"},
	{name: "Licking Pediatrics and Internal Medicine", where: places[7], street: "1200 Church Street"},
	{name: "Miami Valley Health Center", where: places[4], street: "35 Linden Avenue"},
	{name: "Scioto Walk-In Care", where: places[2], street: "9 Prospect Drive", urgent: true},
	{name: "Three Rivers General Hospital", where: places[0], street: "1 Harrison Avenue", hospital: true},
	{name: "Buckeye Memorial Hospital", where: places[4], street: "800 Sycamore Street", hospital: true},
}

// Positions in sites.
const (
	clinics    = 4
	walkIn     = 4
	hospitals  = 5
	nHospitals = 2
)

var payers = []string{"Buckeye Mutual Health", "Commonwealth Family Plan", "Federal Seniors Program", "State Medical Assistance"}

// Positions in payers.
const (
	payerSenior    = 2
	payerAssistive = 3
)

func orgID(i int) string      { return fmt.Sprintf("ORG%03d", i+1) }
func locationID(i int) string { return fmt.Sprintf("LOC%03d", i+1) }
func payerID(i int) string    { return fmt.Sprintf("PAY%03d", i+1) }

// Conditional references, resolved by the server against the directory
// (FHIR R4 http.html#trules).
func orgRef(i int) string      { return "Organization?identifier=" + idOrg + "|" + orgID(i) }
func locationRef(i int) string { return "Location?identifier=" + idLocation + "|" + locationID(i) }
func payerRef(i int) string    { return "Organization?identifier=" + idOrg + "|" + payerID(i) }

// streetAddress draws a house.
func (d dice) streetAddress() string {
	s := strconv.Itoa(1+d.IntN(4000)) + " " + pick(d, streets) + " " + pick(d, streetKinds)
	if d.chance(0.2) {
		s += " Apt " + strconv.Itoa(1+d.IntN(40))
	}
	return s
}

// phone draws a number of the range kept for fiction.
func (d dice) phone(p place) string {
	return fmt.Sprintf("%s-555-01%02d", p.area, d.IntN(100))
}

// address writes the members of an Address into the open object.
func (w *writer) address(street string, p place) {
	w.strs("line", street)
	w.str("city", p.city)
	w.str("state", p.state)
	w.str("postalCode", p.zip)
	w.str("country", "US")
}
