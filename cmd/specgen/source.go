package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	release   = "4.0.1"
	structure = "http://hl7.org/fhir/StructureDefinition/"
	parameter = "http://hl7.org/fhir/SearchParameter/"
)

// resource holds the members of the three definition resources that the tables are made of.
type resource struct {
	ResourceType string `json:"resourceType"`
	URL          string `json:"url"`
	Version      string `json:"version"`

	// StructureDefinition
	FHIRVersion    string `json:"fhirVersion"`
	Kind           string `json:"kind"`
	Abstract       bool   `json:"abstract"`
	Type           string `json:"type"`
	BaseDefinition string `json:"baseDefinition"`
	Derivation     string `json:"derivation"`
	Snapshot       struct {
		Element []element `json:"element"`
	} `json:"snapshot"`

	// SearchParameter; its type is in Type
	Code       string   `json:"code"`
	Base       []string `json:"base"`
	Target     []string `json:"target"`
	Expression string   `json:"expression"`
	Component  []struct {
		Definition string `json:"definition"`
		Expression string `json:"expression"`
	} `json:"component"`

	// CompartmentDefinition
	Resource []struct {
		Code  string   `json:"code"`
		Param []string `json:"param"`
	} `json:"resource"`
}

type element struct {
	Path             string        `json:"path"`
	Representation   []string      `json:"representation"`
	Min              int           `json:"min"`
	Max              string        `json:"max"`
	ContentReference string        `json:"contentReference"`
	IsSummary        bool          `json:"isSummary"`
	IsModifier       bool          `json:"isModifier"`
	Type             []elementType `json:"type"`
	Binding          struct {
		Strength string `json:"strength"`
		ValueSet string `json:"valueSet"`
	} `json:"binding"`
}

type elementType struct {
	Code          string   `json:"code"`
	TargetProfile []string `json:"targetProfile"`
	Extension     []struct {
		URL      string `json:"url"`
		ValueURL string `json:"valueUrl"`
	} `json:"extension"`
}

// source is the definitions of one release, keyed so that a definition that comes twice counts once.
type source struct {
	types       map[string]*resource // by type name
	params      map[string]*resource // by url
	compartment *resource            // of Patient
}

// load reads HL7's package as it is, and a folder with the corrections of fixed.
func load(path, fixed string) (*source, error) {
	s := &source{types: map[string]*resource{}, params: map[string]*resource{}}
	read := s.readFolder
	if strings.HasSuffix(path, ".tgz") {
		read, fixed = s.readPackage, ""
	}
	if err := read(path); err != nil {
		return nil, err
	}
	if len(s.types) == 0 || len(s.params) == 0 || s.compartment == nil {
		return nil, fmt.Errorf("definitions are not whole: %d types, %d search parameters, patient compartment %t",
			len(s.types), len(s.params), s.compartment != nil)
	}
	if err := s.correct(fixed); err != nil {
		return nil, err
	}
	return s, nil
}

// readPackage reads a FHIR package: package/*.json, without its examples.
func (s *source) readPackage(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		dir, name := filepath.Split(h.Name)
		kind, _, _ := strings.Cut(name, "-")
		if dir != "package/" || !wanted(kind) {
			continue
		}
		var r resource
		if err := json.NewDecoder(tr).Decode(&r); err != nil {
			return fmt.Errorf("read %s: %w", h.Name, err)
		}
		s.add(&r)
	}
}

// readFolder reads the specification's bundles. Other files of the folder are Medplum's additions, not R4.
func (s *source) readFolder(path string) error {
	names := []string{"profiles-types.json", "profiles-resources.json", "search-parameters.json",
		"compartmentdefinition-patient.json"}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			return err
		}
		var b struct {
			ResourceType string `json:"resourceType"`
			Entry        []struct {
				Resource json.RawMessage `json:"resource"`
			} `json:"entry"`
		}
		if err := json.Unmarshal(raw, &b); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		all := []json.RawMessage{raw}
		if b.ResourceType == "Bundle" {
			all = all[:0]
			for _, e := range b.Entry {
				all = append(all, e.Resource)
			}
		}
		for i, one := range all {
			var t struct {
				ResourceType string `json:"resourceType"`
			}
			if err := json.Unmarshal(one, &t); err != nil || !wanted(t.ResourceType) {
				continue
			}
			var r resource
			if err := json.Unmarshal(one, &r); err != nil {
				return fmt.Errorf("read %s, entry %d: %w", name, i, err)
			}
			s.add(&r)
		}
	}
	return nil
}

func wanted(kind string) bool {
	return kind == "StructureDefinition" || kind == "SearchParameter" || kind == "CompartmentDefinition"
}

// add keeps r when it is part of the release: types that are not profiles or logical models, and HL7's parameters.
func (s *source) add(r *resource) {
	switch r.ResourceType {
	case "StructureDefinition":
		if r.FHIRVersion == release && r.URL == structure+r.Type && r.Derivation != "constraint" && r.Kind != "logical" {
			s.types[r.Type] = r
		}
	case "SearchParameter":
		if r.Version == release && strings.HasPrefix(r.URL, parameter) && registered(r) {
			s.params[r.URL] = r
		}
	case "CompartmentDefinition":
		if strings.HasSuffix(r.URL, "/CompartmentDefinition/patient") {
			s.compartment = r
		}
	}
}

// registered reports whether r is in R4's registry (searchparameter-registry.html). The package also carries parameters
// of extensions and of the genetics profile, half of them without a base.
func registered(r *resource) bool {
	return len(r.Base) > 0 && !strings.Contains(r.URL, "-extensions-") && !strings.Contains(r.URL, "-genetic-")
}
