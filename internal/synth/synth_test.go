package synth_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/synth"
)

func make1(o synth.Options) []synth.Patient { return slices.Collect(synth.Patients(o)) }

func TestSameSeedSameBytes(t *testing.T) {
	t.Parallel()
	a := make1(synth.Options{Seed: 7, Count: 40})
	b := make1(synth.Options{Seed: 7, Count: 40})
	for i := range a {
		if a[i].ID != b[i].ID || !bytes.Equal(a[i].Bundle, b[i].Bundle) {
			t.Fatalf("patient %d differs between two runs", i)
		}
	}
	if !bytes.Equal(synth.Directory(7), synth.Directory(7)) {
		t.Error("the directory differs between two runs")
	}
}

func TestStartDoesNotMatter(t *testing.T) {
	t.Parallel()
	whole := make1(synth.Options{Seed: 3, Count: 30})
	for i, p := range make1(synth.Options{Seed: 3, Start: 20, Count: 10}) {
		want := whole[20+i]
		if p.Index != want.Index || !bytes.Equal(p.Bundle, want.Bundle) {
			t.Fatalf("patient %d differs when made from 20", want.Index)
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	t.Parallel()
	a := make1(synth.Options{Seed: 1, Count: 5})
	b := make1(synth.Options{Seed: 2, Count: 5})
	for i := range a {
		if a[i].ID == b[i].ID || bytes.Equal(a[i].Bundle, b[i].Bundle) {
			t.Errorf("patient %d is the same under two seeds", i)
		}
	}
}

func TestCountAndStop(t *testing.T) {
	t.Parallel()
	if n := len(make1(synth.Options{Seed: 1})); n != 0 {
		t.Errorf("no count made %d patients", n)
	}
	if n := len(make1(synth.Options{Seed: 1, Count: -3, Start: -9})); n != 0 {
		t.Errorf("a negative count made %d patients", n)
	}
	n := 0
	for p := range synth.Patients(synth.Options{Seed: 1, Count: 1 << 30}) {
		if n++; p.Index == 2 {
			break
		}
	}
	if n != 3 {
		t.Errorf("made %d patients before the break, want 3", n)
	}
}

// Bundles are the caller's: a later patient must not write over an earlier one.
func TestBundlesAreKept(t *testing.T) {
	t.Parallel()
	var kept, copies [][]byte
	for p := range synth.Patients(synth.Options{Seed: 5, Count: 20}) {
		kept = append(kept, p.Bundle)
		copies = append(copies, bytes.Clone(p.Bundle))
	}
	for i := range kept {
		if !bytes.Equal(kept[i], copies[i]) {
			t.Fatalf("bundle %d changed after it was yielded", i)
		}
	}
}

// Other todays, among them one before most vaccines, make sane lives as well.
func TestOtherToday(t *testing.T) {
	t.Parallel()
	for _, year := range []int{2009, 2020, 2031} {
		now := time.Date(year, 6, 15, 10, 30, 0, 0, time.UTC)
		for p := range synth.Patients(synth.Options{Seed: 9, Count: 20, Now: now}) {
			inspect(t, p, now)
		}
	}
}

func BenchmarkPatients(b *testing.B) {
	b.ReportAllocs()
	size, n := 0, 0
	for p := range synth.Patients(synth.Options{Seed: 1, Count: b.N}) {
		size += len(p.Bundle)
		n += p.Resources
	}
	b.SetBytes(int64(size / b.N))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "patients/s")
	b.ReportMetric(float64(n)/float64(b.N), "resources/patient")
}
