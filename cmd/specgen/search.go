package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// writeSearch writes one P line a search parameter, ordered by url, and under a composite one C line a component:
//
//	P code type bases targets url expression
//	C definition expression
func (s *source) writeSearch(w *bytes.Buffer) error {
	for _, url := range slices.Sorted(maps.Keys(s.params)) {
		r := s.params[url]
		if strings.ContainsAny(r.Expression, "\t\n") {
			return fmt.Errorf("search parameter %s: expression holds a tab or a line break", url)
		}
		fmt.Fprintf(w, "P\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Code, r.Type, strings.Join(r.Base, ","),
			dash(strings.Join(r.Target, ",")), url, dash(r.Expression))
		for _, c := range r.Component {
			fmt.Fprintf(w, "C\t%s\t%s\n", c.Definition, c.Expression)
		}
	}
	return nil
}

// writeCompartment writes the resource types of the patient compartment with the parameters that put them there.
// CompartmentDefinition/patient: {def} (the resource itself) is kept as is.
func (s *source) writeCompartment(w *bytes.Buffer) error {
	lines := make([]string, 0, len(s.compartment.Resource))
	for _, r := range s.compartment.Resource {
		if len(r.Param) > 0 {
			lines = append(lines, r.Code+"\t"+strings.Join(r.Param, ",")+"\n")
		}
	}
	slices.Sort(lines)
	for _, l := range lines {
		w.WriteString(l)
	}
	return nil
}
