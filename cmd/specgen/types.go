package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// writeTypes writes one T line a type and under it one E line an element, tab separated:
//
//	T name kind base flags            kind: primitive | complex | backbone | resource; flags: a = abstract
//	E name min max flags types valueset   flags: s = summary, m = modifier, x = an XML attribute (no companion in JSON)
//
// An element that a type inherits unchanged is left out. A name ending in [x] is a choice. Types are joined by '|', each
// with its reference targets in brackets.
func (s *source) writeTypes(w *bytes.Buffer) error {
	lines := map[string]string{} // type and element -> its line, to see what is inherited unchanged
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		if err := s.collect(s.types[name], lines); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		r := s.types[name]
		kind := strings.TrimSuffix(r.Kind, "-type")
		flags := "-"
		if r.Abstract {
			flags = "a"
		}
		fmt.Fprintf(w, "T\t%s\t%s\t%s\t%s\n", name, kind, dash(strings.TrimPrefix(r.BaseDefinition, structure)), flags)
		if kind != "primitive" {
			s.writeBlock(w, r, name, strings.TrimPrefix(r.BaseDefinition, structure), lines)
		}
	}
	return nil
}

// collect makes the line of every element of r.
func (s *source) collect(r *resource, lines map[string]string) error {
	if r.Kind == "primitive-type" {
		return nil
	}
	for _, e := range r.Snapshot.Element {
		if !strings.Contains(e.Path, ".") {
			continue
		}
		line, err := elementLine(r, &e)
		if err != nil {
			return err
		}
		lines[e.Path] = line
	}
	return nil
}

// writeBlock writes the elements right under path, then the backbones among them, each as a type of its own.
func (s *source) writeBlock(w *bytes.Buffer, r *resource, path, base string, lines map[string]string) {
	var backbones []*element
	for i := range r.Snapshot.Element {
		e := &r.Snapshot.Element[i]
		name, ok := strings.CutPrefix(e.Path, path+".")
		if !ok || strings.Contains(name, ".") {
			continue
		}
		if lines[base+"."+name] != lines[e.Path] {
			w.WriteString(lines[e.Path])
		}
		if inline(e) {
			backbones = append(backbones, e)
		}
	}
	for _, e := range backbones {
		fmt.Fprintf(w, "T\t%s\tbackbone\t%s\t-\n", e.Path, e.Type[0].Code)
		s.writeBlock(w, r, e.Path, e.Type[0].Code, lines)
	}
}

// inline reports whether the parts of e are defined right there.
func inline(e *element) bool {
	return len(e.Type) == 1 && (e.Type[0].Code == "BackboneElement" || e.Type[0].Code == "Element")
}

func elementLine(r *resource, e *element) (string, error) {
	max := e.Max
	if max != "*" {
		if _, err := strconv.Atoi(max); err != nil {
			return "", fmt.Errorf("element %s: max is not a number", e.Path)
		}
	}
	flags := ""
	if e.IsSummary {
		flags += "s"
	}
	if e.IsModifier {
		flags += "m"
	}
	if slices.Contains(e.Representation, "xmlAttr") || slices.Contains(e.Representation, "xhtml") {
		flags += "x"
	}
	types, err := typeList(r, e)
	if err != nil {
		return "", err
	}
	set := ""
	if e.Binding.Strength == "required" {
		set = e.Binding.ValueSet
	}
	name := e.Path[strings.LastIndexByte(e.Path, '.')+1:]
	return fmt.Sprintf("E\t%s\t%d\t%s\t%s\t%s\t%s\n", name, e.Min, max, dash(flags), types, dash(set)), nil
}

// typeList names the types of e. A content reference becomes the name of the backbone it points at.
func typeList(r *resource, e *element) (string, error) {
	if ref, ok := strings.CutPrefix(e.ContentReference, "#"); ok {
		return ref, nil
	}
	if inline(e) {
		return e.Path, nil
	}
	var names []string
	for _, t := range e.Type {
		name := t.Code
		if strings.HasPrefix(name, "http://hl7.org/fhirpath/System.") {
			name = "string"
			for _, x := range t.Extension {
				if strings.HasSuffix(x.URL, "/structuredefinition-fhir-type") {
					name = x.ValueURL
				}
			}
			// R4 types Resource.id as a string here, as an id in resource.html#Resource and in its JSON schema.
			if r.Kind == "resource" && e.Path == r.Type+".id" {
				name = "id"
			}
		}
		if len(t.TargetProfile) > 0 {
			targets := make([]string, len(t.TargetProfile))
			for i, p := range t.TargetProfile {
				targets[i] = strings.TrimPrefix(p, structure)
				if strings.Contains(targets[i], "/") {
					return "", fmt.Errorf("element %s: a reference target is not HL7's", e.Path)
				}
			}
			name += "(" + strings.Join(targets, ",") + ")"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "", fmt.Errorf("element %s has no type", e.Path)
	}
	return strings.Join(names, "|"), nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
