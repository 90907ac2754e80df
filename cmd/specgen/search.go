package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
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
		expr, err := oneCast(r.Expression)
		if err != nil {
			return fmt.Errorf("search parameter %s: %w", url, err)
		}
		fmt.Fprintf(w, "P\t%s\t%s\t%s\t%s\t%s\t%s\n", r.Code, r.Type, strings.Join(r.Base, ","),
			dash(strings.Join(r.Target, ",")), url, dash(expr))
		for _, c := range r.Component {
			expr, err := oneCast(c.Expression)
			if err != nil {
				return fmt.Errorf("search parameter %s, component: %w", url, err)
			}
			fmt.Fprintf(w, "C\t%s\t%s\n", c.Definition, expr)
		}
	}
	return nil
}

var (
	infixCast   = regexp.MustCompile(`([\w.]+) as (\w+)`)
	methodCast  = regexp.MustCompile(`\.as\((\w+)\)`)
	bracketCast = regexp.MustCompile(`(^|\W)\(([\w.]+\.ofType\(\w+\))\)`)
	anyCast     = regexp.MustCompile(`\bas\b`)
)

// oneCast writes every cast of an expression as X.ofType(T), without brackets around it. R4 has it as (X as T) and as
// X.as(T), Medplum as (X.ofType(T)); on the one value of a choice all are the same.
func oneCast(expr string) (string, error) {
	if strings.ContainsAny(expr, "\t\n") {
		return "", errors.New("expression holds a tab or a line break")
	}
	expr = infixCast.ReplaceAllString(expr, "$1.ofType($2)")
	expr = methodCast.ReplaceAllString(expr, ".ofType($1)")
	expr = bracketCast.ReplaceAllString(expr, "$1$2")
	if anyCast.MatchString(expr) {
		return "", errors.New("expression holds a cast of an unknown form")
	}
	return expr, nil
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
