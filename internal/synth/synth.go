// Package synth makes deterministic synthetic patients: whole lives of
// encounters, measurements, laboratory results, medicines and notes, written
// as FHIR R4 (4.0.1) transaction Bundles.
//
// It promises that patient i depends only on the seed, on "today" and on i, so
// that ranges can be made in parallel and made again; that every reference
// inside a Bundle resolves inside it or is a conditional reference to an entry
// of [Directory]; and that nothing happens before a birth, after a death or
// after "today".
//
// It refuses to be mistaken for real data: social security numbers are in the
// never-issued 900 range, telephone numbers in the fictional 555-01xx range,
// and every identifier system of its own lies under cordon.example. It claims
// no profile, and its prevalences are plausible rather than epidemiology.
//
// The room is larger than most because a third of it is tables of codes; the
// clinical texts and numbers are this package's own.
//
// BUG(synth): bytes are equal across runs and machines of one architecture;
// compilers that fuse multiplication and addition may round a last digit
// otherwise.
package synth

import (
	"bytes"
	"iter"
	"time"
)

// Options chooses which patients to make.
type Options struct {
	// Seed selects the population. Equal seeds give equal bytes.
	Seed uint64
	// Count is how many patients to make; zero or less makes none.
	Count int
	// Now is "today": nothing is dated after it. Zero means 2026-01-01 UTC.
	Now time.Time
	// Start is the index of the first patient; a negative one counts as zero.
	Start int
}

// Patient is one synthetic life.
type Patient struct {
	// Index is the patient's place in the population.
	Index int
	// ID is the UUID of the Patient entry, without "urn:uuid:".
	ID string
	// Name is the official name, given before family.
	Name string
	// Bundle is the transaction as compact JSON without a line break. It is
	// the caller's to keep.
	Bundle []byte
	// Resources counts the entries of Bundle.
	Resources int
}

// Patients yields o.Count patients in order of their index. Memory does not
// grow with the count; each iteration of the sequence makes the same patients
// anew, and several may run at once.
func Patients(o Options) iter.Seq[Patient] {
	now := o.Now.UTC()
	if o.Now.IsZero() {
		now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	start := max(o.Start, 0)
	return func(yield func(Patient) bool) {
		staff := hire(o.Seed)
		var scratch []byte
		for i := range max(o.Count, 0) {
			c := newChart(o.Seed, uint64(start+i), now, staff, scratch)
			p := c.write()
			scratch, p.Bundle = p.Bundle[:0], bytes.Clone(p.Bundle)
			if !yield(p) {
				return
			}
		}
	}
}
