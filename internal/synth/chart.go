package synth

import (
	"strings"
	"time"
)

// chart is one life being written. Its phases run in a fixed order: the person,
// the problems, the plan of visits and medicines, then the resources.
type chart struct {
	dice
	out      *bundle
	who      person
	body     body
	staff    []worker
	end      time.Time // today or the death
	home     int       // the clinic, a position in sites
	doctor   int       // the usual doctor, a position in staff
	has      uint64    // keys of problems, as bits
	problems []*problem
	visits   []*visit
	orders   []*order
	avoid    uint64 // drug classes the patient is allergic to
	note     []byte // scratch for the text of a note
}

func newChart(seed, index uint64, now time.Time, staff []worker, scratch []byte) *chart {
	c := &chart{dice: newDice(seed, index), staff: staff}
	c.out = newBundle(seed, index, "transaction", scratch)
	c.who = c.bear(now, c.out.mint())
	c.body = c.grow(&c.who)
	c.end = now
	if !c.who.death.IsZero() {
		c.end = c.who.death
	}
	c.home = c.IntN(clinics)
	c.doctor = c.home*postsPerClinic + c.IntN(2)
	if years(c.who.birth, c.end) < 18 {
		c.doctor = c.home*postsPerClinic + postPediatric
		c.body.smoking = neverSmoked
	}
	return c
}

// write makes the whole record.
func (c *chart) write() Patient {
	c.fallIll()
	sensitive := c.sensitize()
	c.plan()
	c.prescribe()

	c.writePatient()
	c.writeCoverage()
	c.writeAllergies(sensitive)
	c.writeProblems()
	c.writeCare()
	c.writeImmunizations()
	c.writeScreenings()
	for _, o := range c.orders {
		if o.visit == nil {
			c.writeOrder(o)
		}
	}
	for _, v := range c.visits {
		c.writeVisit(v)
	}
	return Patient{
		Index:     int(c.out.index),
		ID:        strings.TrimPrefix(c.who.urn, urnUUID),
		Name:      c.who.name.plain(),
		Bundle:    c.out.close(),
		Resources: c.out.entries,
	}
}
