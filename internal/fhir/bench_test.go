package fhir_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cordon-ehr/cordon/internal/fhir"
)

// observation is a laboratory result of about 2 KB as an EHR sends it, indented.
const observation = `{
  "resourceType": "Observation",
  "id": "f206",
  "meta": {
    "versionId": "3",
    "lastUpdated": "2026-01-02T03:04:05.678Z",
    "profile": [ "http://hl7.org/fhir/us/core/StructureDefinition/us-core-observation-lab" ]
  },
  "text": {
    "status": "generated",
    "div": "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Generated</b> &amp; checked</p></div>"
  },
  "extension": [ {
    "url": "http://example.org/fhir/StructureDefinition/run",
    "valueReference": { "reference": "Device/an-1", "display": "Analyser" }
  } ],
  "identifier": [ { "system": "urn:oid:1.2.36.146.595.217.0.1", "value": "urn-4711" } ],
  "status": "final",
  "category": [ {
    "coding": [ {
      "system": "http://terminology.hl7.org/CodeSystem/observation-category",
      "code": "laboratory",
      "display": "Laboratory"
    } ],
    "text": "Laboratory"
  } ],
  "code": {
    "coding": [ {
      "system": "http://loinc.org",
      "code": "15074-8",
      "display": "Glucose [Moles/volume] in Blood"
    } ],
    "text": "Glucose"
  },
  "subject": { "reference": "Patient/f001", "display": "P. van de Heuvel" },
  "encounter": { "reference": "urn:uuid:0d6a1c5e-2a9c-4d52-9d0e-1f4f1b1f2b11" },
  "effectivePeriod": { "start": "2026-04-02T09:30:10+01:00", "end": "2026-04-05T09:30:10+01:00" },
  "issued": "2026-04-03T15:30:10.123+01:00",
  "performer": [ { "reference": "Practitioner/f005", "display": "A. Langeveld" } ],
  "valueQuantity": { "value": 6.30, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" },
  "interpretation": [ {
    "coding": [ {
      "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
      "code": "H",
      "display": "High"
    } ]
  } ],
  "note": [ { "text": "Line one\nline two", "time": "2026-04-03" } ],
  "referenceRange": [ {
    "low": { "value": 3.1, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" },
    "high": { "value": 6.2, "unit": "mmol/l", "system": "http://unitsofmeasure.org", "code": "mmol/L" }
  } ]
}`

// bundle is about 1 MB of them.
func bundle() []byte {
	var b bytes.Buffer
	b.WriteString(`{"resourceType":"Bundle","type":"collection","entry":[`)
	for i := 0; b.Len() < 1<<20; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"fullUrl":"http://example.org/fhir/Observation/o%d","resource":%s}`, i, observation)
	}
	b.WriteString(`]}`)
	return b.Bytes()
}

func benchParseCheck(b *testing.B, src []byte) {
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := fhir.Parse(src, fhir.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		if c := fhir.Check(d.Root(), nil); len(c.Issues) > 0 {
			b.Fatal(c.Issues)
		}
		d.Release()
	}
}

func BenchmarkParseCheckObservation(b *testing.B) { benchParseCheck(b, []byte(observation)) }

func BenchmarkParseCheckBundle(b *testing.B) { benchParseCheck(b, bundle()) }

func BenchmarkParse(b *testing.B) {
	src := bundle()
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		d, err := fhir.Parse(src, fhir.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		d.Release()
	}
}

func BenchmarkStamp(b *testing.B) {
	d, err := fhir.Parse([]byte(observation), fhir.Limits{})
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	var dst []byte
	b.SetBytes(int64(len(observation)))
	b.ReportAllocs()
	for b.Loop() {
		dst = fhir.Stamp(dst[:0], d.Root(), "f206", 4, now)
	}
}

// BenchmarkDeep is what an attacker would send: as many values as the limits allow in as few bytes as possible.
func BenchmarkDeep(b *testing.B) {
	src := []byte(`{"resourceType":"Basic","x":[` + strings.Repeat("[],", 1<<20) + `0]}`)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		d, err := fhir.Parse(src, fhir.Limits{})
		if err != nil {
			b.Fatal(err)
		}
		fhir.Check(d.Root(), nil)
		d.Release()
	}
}

func BenchmarkLoadTables(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		fhir.LoadTables()
	}
}
