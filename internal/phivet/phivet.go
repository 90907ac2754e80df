// Package phivet is a static analyzer: it fails the build when a value of a patient can reach a log, an error text, a metric, a
// panic or the URL of a request of ours. Two things are looked for.
//
// By type: an argument of fmt, log or slog whose type is a PHI type (phi.Text, phi.Body, seal.Secret) or holds one anywhere: fmt goes
// by reflection where a field is not exported, past the methods that would mask it.
//
// By flow: text that was revealed (Reveal, a conversion of a PHI type, the text of a fhir.Value, a query or a body as it came), in every
// form that it takes on the way (concatenation, formatting, slices, structs, an error that quotes it), until it reaches a sink. Flow is
// followed through functions by facts: what a function returns, and what becomes of its parameters.
//
// A reviewed way out is marked by a comment on its line, or on the line above:
//
//	//phi:allow the reason
//
// One without a reason, and one that nothing needs any more, are errors, too. Tests are not looked at: their patients are made up.
//
// What it does not see: flow through interfaces, channels, maps that others fill and fields of a struct that was made elsewhere;
// whether a bool or a number tells something. The types, the allow-list of log keys and the scan for canaries stand behind it.
package phivet

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/analysis"
	"golang.org/x/tools/go/ssa"
)

// New makes the analyzer for a module: paths of its rooms are module + "/internal/…".
func New(module string) *analysis.Analyzer {
	c := &config{module: module}
	return &analysis.Analyzer{
		Name:      "phivet",
		Doc:       "finds values of patients that can reach a log, an error text, a metric, a panic or a URL",
		FactTypes: []analysis.Fact{new(Flow)},
		Run:       c.run,
	}
}

// Flow is what is known of a function: for each result and for what it prints, where the text comes from.
type Flow struct {
	Results []Origins
	Prints  Origins // parameters that reach a sink
	Sink    string  // which
}

// AFact makes Flow a fact.
func (*Flow) AFact() {}

func (f *Flow) String() string { return fmt.Sprintf("results %b, prints %b", f.Results, f.Prints) }

// Origins are where text may come from: bit 0 is a source of PHI, bit i+1 the function's parameter i.
type Origins uint64

const fromSource Origins = 1

func fromParam(i int) Origins {
	if i > 61 {
		return 0
	}
	return 1 << (i + 1)
}

func (o Origins) has(i int) bool { return o&fromParam(i) != 0 && fromParam(i) != 0 }

type config struct{ module string }

// run analyzes one package. Packages of others have no facts: what they do is in flow.go.
func (c *config) run(pass *analysis.Pass) (any, error) {
	if !strings.HasPrefix(pass.Pkg.Path()+"/", c.module+"/") {
		return nil, nil
	}
	r := &room{config: c, pass: pass, allowed: comments(pass), flows: map[*types.Func]*Flow{}, taint: map[ssa.Value]Origins{},
		fields: map[field]Origins{}, whole: map[ssa.Value]Origins{}, tuples: map[*ssa.Call][]Origins{}, bound: map[*ssa.FreeVar]ssa.Value{}}
	r.functions = r.build()
	for range 20 { // facts of functions that call each other need a few rounds
		r.changed = false
		for _, f := range r.functions {
			r.follow(f)
		}
		if !r.changed {
			break
		}
	}
	r.reporting = true
	for _, f := range r.functions {
		r.follow(f)
	}
	r.typed()
	for f, flow := range r.flows {
		if flow.Prints != 0 || slices.ContainsFunc(flow.Results, func(o Origins) bool { return o != 0 }) {
			pass.ExportObjectFact(f, flow)
		}
	}
	r.unused()
	return nil, nil
}

// room is one package under analysis.
type room struct {
	*config
	pass      *analysis.Pass
	allowed   map[string]map[int]*allowance // by file and line
	functions []*ssa.Function               // of non-test files, each before the functions in it
	flows     map[*types.Func]*Flow
	taint     map[ssa.Value]Origins
	fields    map[field]Origins
	whole     map[ssa.Value]Origins      // of all fields of a struct: what prints it prints them
	tuples    map[*ssa.Call][]Origins    // of calls with several results
	bound     map[*ssa.FreeVar]ssa.Value // what a closure captured
	changed   bool
	reporting bool
	reported  map[token.Pos]bool
}

// build makes the package's SSA form. Imports are known by their types only.
func (r *room) build() (out []*ssa.Function) {
	prog := ssa.NewProgram(r.pass.Fset, ssa.BuilderMode(0))
	made := map[*types.Package]bool{}
	var imports func([]*types.Package)
	imports = func(list []*types.Package) {
		for _, p := range list {
			if !made[p] {
				made[p] = true
				prog.CreatePackage(p, nil, nil, true)
				imports(p.Imports())
			}
		}
	}
	imports(r.pass.Pkg.Imports())
	prog.CreatePackage(r.pass.Pkg, r.pass.Files, r.pass.TypesInfo, false).Build()
	var add func(*ssa.Function)
	add = func(f *ssa.Function) {
		out = append(out, f)
		for _, inner := range f.AnonFuncs {
			add(inner)
		}
	}
	for _, file := range r.pass.Files {
		if strings.HasSuffix(r.pass.Fset.File(file.FileStart).Name(), "_test.go") {
			continue
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if obj, ok := r.pass.TypesInfo.Defs[fn.Name].(*types.Func); ok {
					if f := prog.FuncValue(obj); f != nil {
						add(f)
					}
				}
			}
		}
	}
	return out
}

// report speaks once of each place, unless a comment allows it.
func (r *room) report(pos token.Pos, format string, args ...any) {
	if r.allow(pos) || !r.reporting || !pos.IsValid() || r.reported[pos] {
		return
	}
	if r.reported == nil {
		r.reported = map[token.Pos]bool{}
	}
	r.reported[pos] = true
	r.pass.Reportf(pos, format, args...)
}
