package fhir_test

import (
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

func TestStamp(t *testing.T) {
	t.Parallel()
	when := time.Date(2026, 11, 24, 21, 0, 0, 123456789, time.FixedZone("", 3600))
	const head = `{"resourceType":"Basic","id":"n-1","meta":{"versionId":"12","lastUpdated":"2026-11-24T20:00:00.123456Z"`
	for name, c := range map[string]struct{ src, want string }{
		"bare":       {`{"resourceType":"Basic"}`, head + `}}`},
		"replaced":   {`{"id":"old","meta":{"versionId":"1","lastUpdated":"2000-01-01T00:00:00Z"},"resourceType":"Basic"}`, head + `}}`},
		"meta kept":  {`{"resourceType":"Basic","meta":{"tag":[{"code":"a"}],"versionId":"1","_lastUpdated":{"id":"x"},"profile":["p"]}}`, head + `,"tag":[{"code":"a"}],"profile":["p"]}}`},
		"compacted":  {" {\n \"resourceType\" : \"Basic\" ,\t\"x\" : [ 1 , { \"y\" : \" a  b \" } , [ ] , { } ] } ", head + `},"x":[1,{"y":" a  b "},[],{}]}`},
		"bytes kept": {`{"resourceType":"Basic","d":1.500,"e":-0.0E+05,"s":"\u00e9\/\n","\u0078":true,"n":null}`, head + `},"d":1.500,"e":-0.0E+05,"s":"\u00e9\/\n","\u0078":true,"n":null}`},
		"escaped id": {`{"resourceType":"Basic","\u0069d":"old","m\u0065ta":{"version\u0049d":"1","a":1}}`, head + `,"a":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := parse(t, c.src)
			defer d.Release()
			got := string(fhir.Stamp([]byte("<"), d.Root(), "n-1", 12, when))
			if got != "<"+c.want {
				t.Errorf("got  %s\nwant <%s", got, c.want)
			}
		})
	}
}

func TestStampWith(t *testing.T) {
	t.Parallel()
	src := `{"meta":{"source":"urn:uuid:a"},"subject":{"reference":"urn:uuid:a"},"resourceType":"Basic",` +
		`"author":{"reference":"Practitioner?identifier=1"},"code":{"text":"urn:uuid:a"}}`
	d := parse(t, src)
	defer d.Release()
	c := fhir.Check(d.Root(), nil)
	if len(c.Issues) > 0 || len(c.Links) != 2 || len(c.URIs) != 1 {
		t.Fatalf("got %+v", c)
	}
	splices := []fhir.Splice{
		{Start: c.URIs[0].Start, End: c.URIs[0].End, With: []byte(`"Device/3"`)},
		{Start: c.Links[0].Start, End: c.Links[0].End, With: []byte(`"Patient/1"`)},
		{Start: c.Links[1].Start, End: c.Links[1].End, With: []byte(`"Practitioner/2"`)},
		{Start: len(src) - 3, End: len(src) - 1, With: []byte(`"nowhere"`)},
	}
	got := string(fhir.StampWith(nil, d.Root(), "b", 1, time.Unix(0, 0), splices))
	want := `{"resourceType":"Basic","id":"b","meta":{"versionId":"1","lastUpdated":"1970-01-01T00:00:00.000000Z",` +
		`"source":"Device/3"},"subject":{"reference":"Patient/1"},"author":{"reference":"Practitioner/2"},"code":{"text":"urn:uuid:a"}}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestStampEntry stamps a resource where it stands in a Bundle.
func TestStampEntry(t *testing.T) {
	t.Parallel()
	d := parse(t, `{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`)
	defer d.Release()
	v := d.Root().Get("entry").First().Get("resource")
	got := string(fhir.Stamp(nil, v, "b", 1, time.Unix(1, 0)))
	want := `{"resourceType":"Basic","id":"b","meta":{"versionId":"1","lastUpdated":"1970-01-01T00:00:01.000000Z"},"code":{"text":"x"}}`
	if got != want {
		t.Errorf("got %s", got)
	}
}
