package fhir_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// FuzzParseCheck: no input may panic; what parses is JSON that encoding/json agrees with; what is stamped parses again
// and has the same findings about everything but id and meta.
func FuzzParseCheck(f *testing.F) {
	for _, s := range []string{
		observation, pat(""), obs(`"valueString":"x","_valueString":{"id":"1"}`), `{"":1}`, `{"_":[null]}`, `{`, `{"a":"\u0000"}`,
		pat(`"name":[{"given":["A",null],"_given":[null,{"id":"x"}]}]`),
		pat(`"contained":[{"resourceType":"Organization","id":"o"}],"managingOrganization":{"reference":"#o"}`),
		pat(`"text":{"status":"generated","div":"<div><a href='x'>&amp;<!-- c --></a><br/></div>"}`),
		`{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Patient","birthDate":"2024-02-30"}}]}`,
		`{"resourceType":"Parameters","parameter":[{"name":"n","valueDecimal":1e-5},{"name":"n","valueInstant":"2024-01-01T00:00:00.1Z"}]}`,
		obs(`"focus":[{"reference":"http://h/Patient/1/_history/2"},{"reference":"Patient?a=b"},{"reference":"//"},{"reference":"#"}]`),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		before := bytes.Clone(src)
		d, err := fhir.Parse(src, fhir.Limits{MaxDepth: 32, MaxNodes: 10_000})
		if err != nil {
			return
		}
		defer d.Release()
		if !json.Valid(src) {
			t.Fatal("parsed what is not JSON")
		}
		c := fhir.Check(d.Root(), nil)
		for _, l := range c.Links {
			if fhir.PlaceAt(d.Root(), l.Start) == "" {
				t.Fatal("a link without a place")
			}
		}
		if !bytes.Equal(before, src) {
			t.Fatal("the body was written to")
		}
		if c.Type == nil || len(c.Issues) > 0 {
			return
		}
		out := fhir.Stamp(nil, d.Root(), "x", 1, time.Unix(0, 0))
		again, err := fhir.Parse(out, fhir.Limits{})
		if err != nil {
			t.Fatalf("stamped: %v", err)
		}
		defer again.Release()
		if got := fhir.Check(again.Root(), c.Type); len(got.Issues) > 0 || len(got.Links) != len(c.Links) {
			t.Fatalf("stamped: %+v", got)
		}
	})
}
