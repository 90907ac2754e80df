package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"github.com/cordon-ehr/cordon/internal/synth"
)

// dataset is what was loaded, as the server answered it.
type dataset struct {
	bundles      [][]byte // for more ingest
	patients     []string
	names        []string
	observations []observation
	resources    int
}

type observation struct {
	id, patient, code string
	body              []byte
}

// keep is how many Bundles of a dataset are kept for more ingest.
const keep = 200

// load stores the patients, and learns their ids.
func (s *client) load(ctx context.Context, patients int) (*dataset, error) {
	if err := s.fhir(ctx, "POST", "", synth.Directory(7), nil); err != nil {
		return nil, err
	}
	d := &dataset{}
	for p := range synth.Patients(synth.Options{Seed: 7, Count: patients}) {
		if err := s.fhir(ctx, "POST", "", p.Bundle, nil); err != nil {
			return nil, err
		}
		d.add(p)
	}
	return d, s.learn(ctx, d)
}

func (d *dataset) add(p synth.Patient) {
	d.resources += p.Resources
	if len(d.bundles) < keep {
		d.bundles = append(d.bundles, p.Bundle)
	}
	words := strings.Fields(p.Name)
	d.names = append(d.names, words[len(words)-1])
}

// learn asks for ids of what was loaded.
func (s *client) learn(ctx context.Context, d *dataset) error {
	d.patients, d.observations = nil, nil
	var page struct {
		Entry []struct{ Resource json.RawMessage }
	}
	if err := s.fhir(ctx, "GET", "/Patient?_count=500", nil, &page); err != nil {
		return err
	}
	for _, e := range page.Entry {
		var r struct{ ID string }
		if err := json.Unmarshal(e.Resource, &r); err != nil {
			return err
		}
		d.patients = append(d.patients, r.ID)
	}
	return s.learnObservations(ctx, d)
}

func (s *client) learnObservations(ctx context.Context, d *dataset) error {
	for _, p := range d.patients {
		var page struct {
			Entry []struct{ Resource json.RawMessage }
		}
		if err := s.fhir(ctx, "GET", "/Observation?_count=20&patient="+p, nil, &page); err != nil {
			return err
		}
		for _, e := range page.Entry {
			var r struct {
				ID   string
				Code struct {
					Coding []struct{ System, Code string }
				}
			}
			if err := json.Unmarshal(e.Resource, &r); err != nil {
				return err
			}
			o := observation{id: r.ID, patient: p, body: e.Resource}
			if len(r.Code.Coding) > 0 {
				o.code = r.Code.Coding[0].System + "|" + r.Code.Coding[0].Code
			}
			d.observations = append(d.observations, o)
		}
	}
	return nil
}

// operations are what callers do.
func (s *client) operations(d *dataset) []operation {
	few := []int{1, 16}
	obs := func(n int64) *observation { return &d.observations[int(n*7919)%len(d.observations)] }
	patient := func(n int64) string { return d.patients[int(n*7919)%len(d.patients)] }
	get := func(name string, path func(n int64) string) operation {
		return operation{name: name, workers: few, do: func(ctx context.Context, n int64) error { return s.fhir(ctx, "GET", path(n), nil, nil) }}
	}
	return []operation{
		get("read", func(n int64) string { return "/Observation/" + obs(n).id }),
		get("history", func(n int64) string { return "/Observation/" + obs(n).id + "/_history" }),
		get("search patient+code", func(n int64) string {
			o := obs(n)
			return "/Observation?_count=50&patient=" + o.patient + "&code=" + url.QueryEscape(o.code)
		}),
		get("search name", func(n int64) string {
			name := []rune(d.names[int(n)%len(d.names)])
			return "/Patient?_count=20&name=" + url.QueryEscape(string(name[:min(3, len(name))]))
		}),
		get("search patient+date", func(n int64) string { return "/Observation?_count=50&date=ge2022&patient=" + patient(n) }),
		get("search _sort=-date", func(n int64) string { return "/Observation?_count=20&_sort=-date&patient=" + patient(n) }),
		get("search _include", func(n int64) string {
			return "/Encounter?_count=20&_include=Encounter:participant&patient=" + patient(n)
		}),
		get("$everything", func(n int64) string { return "/Patient/" + patient(n) + "/$everything" }),
		{name: "create", workers: few, do: func(ctx context.Context, n int64) error { return s.fhir(ctx, "POST", "/Observation", obs(n).body, nil) }},
		{name: "update", workers: few, do: func(ctx context.Context, n int64) error {
			o := obs(n)
			return s.fhir(ctx, "PUT", "/Observation/"+o.id, bytes.Replace(o.body, []byte(`"status":"final"`), fmt.Appendf(nil, `"status":%q`, []string{"amended", "final"}[n%2]), 1), nil)
		}},
		{name: "bundle", workers: []int{1, 4}, do: func(ctx context.Context, n int64) error {
			return s.fhir(ctx, "POST", "", d.bundles[int(n)%len(d.bundles)], nil)
		}},
	}
}
