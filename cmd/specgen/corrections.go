package main

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// corrections turns what Medplum's folder says back into R4 where the two differ. Its head tells the form of a line.
//
//go:embed corrections.txt
var corrections string

// fix is one verb of the corrections. A correction must find exactly what it was written against: else it has rotted, and
// apply refuses it.
type fix struct {
	args  int
	apply func(s *source, args []string) error
}

var fixes = map[string]fix{
	"drop element":     {1, dropElement},
	"add element":      {7, addElement},
	"set element":      {4, setElement},
	"drop param":       {1, dropParam},
	"drop target":      {2, dropTarget},
	"add target":       {2, addTarget},
	"drop compartment": {2, dropCompartment},
	"set compartment":  {3, setCompartment},
}

// correct applies a table of corrections, in its order.
func (s *source) correct(table string) error {
	n := 0
	for line := range strings.Lines(table) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		text, _, reasoned := strings.Cut(line, " # ")
		f := strings.Fields(text)
		if len(f) < 3 || !reasoned {
			return fmt.Errorf("correction at line %d: want verb, noun, subject and a reason", n)
		}
		name, args := f[0]+" "+f[1], f[2:]
		verb, ok := fixes[name]
		if !ok || len(args) != verb.args {
			return fmt.Errorf("correction at line %d: no %q with %d values", n, name, len(args))
		}
		if err := verb.apply(s, args); err != nil {
			return fmt.Errorf("correction at line %d no longer applies: %s %s: %w", n, name, args[0], err)
		}
	}
	return nil
}

// find gives the type that defines an element, and the element's place in it.
func (s *source) find(path string) (*resource, int, error) {
	name, _, inside := strings.Cut(path, ".")
	if r := s.types[name]; r != nil && inside {
		if i := slices.IndexFunc(r.Snapshot.Element, func(e element) bool { return e.Path == path }); i >= 0 {
			return r, i, nil
		}
	}
	return nil, 0, errors.New("no such element")
}

// dropElement takes an element away, with all below it.
func dropElement(s *source, a []string) error {
	r, _, err := s.find(a[0])
	if err != nil {
		return err
	}
	r.Snapshot.Element = slices.DeleteFunc(r.Snapshot.Element, func(e element) bool {
		return e.Path == a[0] || strings.HasPrefix(e.Path, a[0]+".")
	})
	return nil
}

// addElement puts an element right behind a sibling: path, sibling, and what an E line says of it.
func addElement(s *source, a []string) error {
	if _, _, err := s.find(a[0]); err == nil {
		return errors.New("it is there already")
	}
	r, at, err := s.find(a[1])
	if err != nil {
		return fmt.Errorf("behind %s: %w", a[1], err)
	}
	if parent(a[0]) != parent(a[1]) {
		return fmt.Errorf("%s is no sibling", a[1])
	}
	if strings.Trim(a[4], "-sm") != "" {
		return fmt.Errorf("flags %s: want -, s, m or sm", a[4])
	}
	e := element{Path: a[0], Max: a[3], IsSummary: strings.Contains(a[4], "s"), IsModifier: strings.Contains(a[4], "m")}
	for _, v := range [][2]string{{"min", a[2]}, {"types", a[5]}, {"valueset", a[6]}} {
		if err := e.set(v[0], v[1]); err != nil {
			return err
		}
	}
	r.Snapshot.Element = slices.Insert(r.Snapshot.Element, at+1, e)
	return nil
}

func parent(path string) string { return path[:max(0, strings.LastIndexByte(path, '.'))] }

// columns are the parts of an E line that setElement can change.
var columns = map[string]int{"min": 2, "types": 5, "valueset": 6}

// setElement changes one column of an element's E line: path, column, old, new.
func setElement(s *source, a []string) error {
	r, at, err := s.find(a[0])
	if err != nil {
		return err
	}
	e := &r.Snapshot.Element[at]
	line, err := elementLine(r, e)
	if err != nil {
		return err
	}
	i, ok := columns[a[1]]
	if !ok {
		return fmt.Errorf("no column %s", a[1])
	}
	if was := strings.Split(strings.TrimSuffix(line, "\n"), "\t")[i]; was != a[2] || was == a[3] {
		return fmt.Errorf("%s is %s", a[1], was)
	}
	return e.set(a[1], a[3])
}

// set writes a column of an E line back into the element.
func (e *element) set(column, value string) (err error) {
	switch column {
	case "min":
		e.Min, err = strconv.Atoi(value)
	case "types":
		e.Type = nil
		for one := range strings.SplitSeq(value, "|") {
			name, targets, some := strings.Cut(strings.TrimSuffix(one, ")"), "(")
			t := elementType{Code: name}
			if some {
				t.TargetProfile = strings.Split(targets, ",")
				for i := range t.TargetProfile {
					t.TargetProfile[i] = structure + t.TargetProfile[i]
				}
			}
			e.Type = append(e.Type, t)
		}
	case "valueset":
		if e.Binding.Strength, e.Binding.ValueSet = "", ""; value != "-" {
			e.Binding.Strength, e.Binding.ValueSet = "required", value
		}
	}
	return err
}

func dropParam(s *source, a []string) error {
	if s.params[parameter+a[0]] == nil {
		return errors.New("no such parameter")
	}
	delete(s.params, parameter+a[0])
	return nil
}

// targets gives every list of targets of a subject: an element's (Patient.link.other, a list a type) or a parameter's
// (clinical-patient).
func (s *source) targets(subject string) ([]*[]string, error) {
	if !strings.Contains(subject, ".") {
		if p := s.params[parameter+subject]; p != nil {
			return []*[]string{&p.Target}, nil
		}
		return nil, errors.New("no such parameter")
	}
	r, at, err := s.find(subject)
	if err != nil {
		return nil, err
	}
	var all []*[]string
	for i := range r.Snapshot.Element[at].Type {
		all = append(all, &r.Snapshot.Element[at].Type[i].TargetProfile)
	}
	return all, nil
}

// dropTarget takes reference targets away: subject, names. It leaves at least one, for none would mean any.
func dropTarget(s *source, a []string) error {
	lists, err := s.targets(a[0])
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(a[1], ",") {
		found := false
		for _, l := range lists {
			n := len(*l)
			*l = slices.DeleteFunc(*l, func(t string) bool { return t == name || t == structure+name })
			found = found || len(*l) < n
			if n > 0 && len(*l) == 0 {
				return errors.New("no target would be left")
			}
		}
		if !found {
			return fmt.Errorf("no target %s", name)
		}
	}
	return nil
}

// addTarget puts a target behind those of a parameter.
func addTarget(s *source, a []string) error {
	p := s.params[parameter+a[0]]
	if p == nil {
		return errors.New("no such parameter")
	}
	if slices.Contains(p.Target, a[1]) {
		return errors.New("it is there already")
	}
	p.Target = append(p.Target, a[1])
	return nil
}

// member gives a type's parameters in the patient compartment, if they are what a correction was written against.
func (s *source) member(name, params string) (*[]string, error) {
	for i := range s.compartment.Resource {
		if r := &s.compartment.Resource[i]; r.Code == name && strings.Join(r.Param, ",") == params {
			return &r.Param, nil
		}
	}
	return nil, fmt.Errorf("it is not in the compartment by %s", params)
}

// dropCompartment puts a type out of the patient compartment: type, its parameters.
func dropCompartment(s *source, a []string) error {
	params, err := s.member(a[0], a[1])
	if err == nil {
		*params = nil
	}
	return err
}

// setCompartment changes the parameters by which a type is in the patient compartment: type, old, new.
func setCompartment(s *source, a []string) error {
	params, err := s.member(a[0], a[1])
	if err == nil {
		*params = strings.Split(a[2], ",")
	}
	return err
}
