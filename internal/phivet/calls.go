package phivet

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// sources are calls that give text of a patient, by package and name; ours without the module.
var sources = map[string]bool{
	"phi.Text.Reveal": true, "phi.Body.Reveal": true, "seal.Secret.Reveal": true,
	"fhir.Value.Str": true, "fhir.Value.Raw": true, "fhir.Value.AppendStr": true,
	"net/url.URL.String": true, "net/url.URL.Query": true, "net/url.URL.RequestURI": true,
	"net/http.Request.FormValue": true, "net/http.Request.PostFormValue": true, "net/http.Request.PathValue": true,
	"io.ReadAll": true,
}

// sourceFields hold what a caller asked for, as it came.
var sourceFields = map[string]bool{"net/url.URL.RawQuery": true, "net/url.URL.Path": true, "net/url.URL.RawPath": true, "net/http.Request.RequestURI": true}

// sinkField names a field whose text people read.
func (c *config) sinkField(typ, name string) string {
	switch strings.TrimPrefix(typ, c.module+"/internal/") + "." + name {
	case "fault.Fault.Text", "fault.Issue.Diagnostics", "fault.Issue.Expression":
		return "the text of an error (fault." + name + ")"
	case "audit.Event.OutcomeDesc", "audit.Decision.Reason":
		return "a text of an audit event that stands in clear (" + name + ")"
	}
	return ""
}

// textual are packages whose functions give back the text that they are given, in some form.
var textual = []string{"strings", "bytes", "strconv", "fmt", "net/url", "path", "path/filepath", "slices", "maps", "html", "html/template", "encoding/json", "encoding/hex", "encoding/base64",
	"unicode/utf8", "errors", "golang.org/x/text/unicode/norm", "golang.org/x/text/cases", "github.com/go-json-experiment/json/jsontext", "time"}

// quoting are packages whose errors quote what they could not read.
var quoting = []string{"strconv", "time", "net/url", "net", "mime", "regexp", "encoding/json", "github.com/google/uuid", "github.com/cockroachdb/apd/v3", "errors"}

// sinkCall tells from which argument on a call prints, and what it is; "" for none.
func sinkCall(pkg, name string) (what string, from int) {
	what = pkg + "." + name
	switch {
	case pkg == "fmt" && (strings.HasPrefix(name, "Print") || name == "Errorf"), pkg == "log", pkg == "log/slog", what == "errors.New",
		strings.HasPrefix(pkg, "github.com/prometheus/"), strings.HasPrefix(pkg, "go.opentelemetry.io/"):
		return what, 0
	case pkg == "fmt" && strings.HasPrefix(name, "Fprint"), what == "net/http.Error", what == "fault.Wrap":
		return what, 1
	case what == "net/http.NewRequest", what == "net/http.Get", what == "net/http.Post", what == "net/http.Client.Get":
		return what, 1
	case what == "net/http.NewRequestWithContext", what == "net/http.Redirect":
		return what, 2
	}
	return "", 0
}

// call follows text into a call and out of it.
func (r *room) call(f *ssa.Function, in ssa.CallInstruction) {
	call := in.Common()
	args := call.Args
	if call.IsInvoke() {
		args = append([]ssa.Value{call.Value}, args...)
	}
	if b, ok := call.Value.(*ssa.Builtin); ok {
		r.builtin(f, in, b.Name(), args)
		return
	}
	pkg, name := r.name(call)
	if sources[pkg+"."+name] && !(pkg == "io" && ofFile(args[0])) {
		results := call.Signature().Results()
		r.result(in, func(i int) Origins {
			if isError(results.At(i).Type()) {
				return 0
			}
			return fromSource
		})
		return
	}
	if what, from := sinkCall(pkg, name); what != "" {
		if pkg == "fmt" && from == 1 && r.intoBuilder(args) {
			return
		}
		printed := args[min(from, len(args)):]
		if strings.HasPrefix(what, "net/http.NewRequest") {
			printed = printed[:1] // the URL: a body may hold what it is for
		}
		for _, a := range printed {
			r.sink(f, in.Pos(), r.taint[a], what)
		}
		return
	}
	if pkg == "os" && strings.HasPrefix(name, "File.Write") && standard(args[0]) {
		r.sink(f, in.Pos(), r.taint[args[1]], "os."+name)
		return
	}
	if s := call.StaticCallee(); s != nil {
		if flow := r.known(object(s)); flow != nil {
			r.apply(f, in, flow, args, pkg+"."+name)
			return
		}
	}
	r.through(in, pkg, name, args)
}

// ofFile reports whether what is read is a file of ours, and no request.
func ofFile(v ssa.Value) bool {
	m, ok := v.(*ssa.MakeInterface)
	return ok && types.TypeString(m.X.Type(), nil) == "*os.File"
}

// standard reports whether v is the process's own output.
func standard(v ssa.Value) bool {
	g, ok := root(v).(*ssa.Global)
	return ok && (g.Name() == "Stderr" || g.Name() == "Stdout")
}

func (r *room) builtin(f *ssa.Function, in ssa.CallInstruction, name string, args []ssa.Value) {
	var all Origins
	for _, a := range args {
		all |= r.taint[a]
	}
	switch name {
	case "append":
		r.result(in, func(int) Origins { return all })
	case "copy":
		r.mark(args[0], r.taint[args[1]])
		r.mark(root(args[0]), r.taint[args[1]])
	case "print", "println":
		r.sink(f, in.Pos(), all, name)
	}
}

// intoBuilder has text printed into a buffer, which is no sink but carries it on.
func (r *room) intoBuilder(args []ssa.Value) bool {
	to := args[0]
	if m, ok := to.(*ssa.MakeInterface); ok {
		to = m.X
	}
	if !builder(to.Type()) {
		return false
	}
	for _, a := range args[1:] {
		r.mark(to, r.taint[a])
	}
	return true
}

// apply uses the fact of a function of ours.
func (r *room) apply(f *ssa.Function, in ssa.CallInstruction, flow *Flow, args []ssa.Value, name string) {
	given := func(o Origins) (out Origins) {
		out = o & fromSource
		for i, a := range args {
			if o.has(i) {
				out |= r.taint[a]
			}
		}
		return out
	}
	if flow.Prints != 0 {
		r.sink(f, in.Pos(), given(flow.Prints), flow.Sink+" by way of "+name)
	}
	r.result(in, func(i int) Origins {
		if i >= len(flow.Results) {
			return 0
		}
		return given(flow.Results[i])
	})
}

// through is what a function of others does: give text back, put it into a buffer, or quote it in an error.
func (r *room) through(in ssa.CallInstruction, pkg, name string, args []ssa.Value) {
	var all Origins
	for _, a := range args {
		all |= r.taint[a]
	}
	if all == 0 {
		return
	}
	if len(args) > 0 && builder(args[0].Type()) && (pkg == "strings" || pkg == "bytes") {
		r.mark(args[0], all)
	}
	gives, quotes := slices.Contains(textual, pkg) || (pkg == "" && name == "Error"), slices.Contains(quoting, pkg)
	v, ok := in.(*ssa.Call)
	if !ok {
		return
	}
	results := v.Call.Signature().Results()
	r.result(in, func(i int) Origins {
		if failed := isError(results.At(i).Type()); (failed && quotes) || (!failed && gives) {
			return all
		}
		return 0
	})
}

func isError(t types.Type) bool { return types.Identical(t, types.Universe.Lookup("error").Type()) }

// result marks what a call gives.
func (r *room) result(in ssa.CallInstruction, origin func(int) Origins) {
	v, ok := in.(*ssa.Call)
	if !ok {
		return
	}
	results := v.Call.Signature().Results()
	if results.Len() == 1 {
		r.flowTo(v, origin(0))
		return
	}
	if r.tuples[v] == nil {
		r.tuples[v] = make([]Origins, results.Len())
	}
	for i := range r.tuples[v] {
		if o := origin(i); o&^r.tuples[v][i] != 0 {
			r.tuples[v][i] |= o
			r.changed = true
		}
	}
}

// typed looks at what is handed to printing functions by its type, wherever its text came from.
func (r *room) typed() {
	for _, file := range r.pass.Files {
		if strings.HasSuffix(r.pass.Fset.File(file.FileStart).Name(), "_test.go") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				r.typedCall(call)
			}
			return true
		})
	}
}

func (r *room) typedCall(call *ast.CallExpr) {
	what, first, prints := r.printer(call)
	if what == "" {
		return
	}
	for i, a := range call.Args {
		if i < first || (prints != nil && !prints(i)) {
			continue
		}
		if t := r.pass.TypesInfo.TypeOf(a); t != nil && r.holds(t) {
			r.report(a.Pos(), "%s is given a %s, which is or holds a PHI type", what, types.TypeString(t, types.RelativeTo(r.pass.Pkg)))
		}
	}
}

// printer tells whether a call prints its arguments: by name, or by the fact of a function of ours.
func (r *room) printer(call *ast.CallExpr) (what string, first int, prints func(int) bool) {
	var id *ast.Ident
	switch f := ast.Unparen(call.Fun).(type) {
	case *ast.Ident:
		id = f
	case *ast.SelectorExpr:
		id = f.Sel
	default:
		return "", 0, nil
	}
	if b, ok := r.pass.TypesInfo.Uses[id].(*types.Builtin); ok && (b.Name() == "panic" || b.Name() == "print" || b.Name() == "println") {
		return b.Name(), 0, nil
	}
	f, ok := r.pass.TypesInfo.Uses[id].(*types.Func)
	if !ok || f.Pkg() == nil {
		return "", 0, nil
	}
	switch pkg := f.Pkg().Path(); {
	case pkg == "fmt" && strings.HasPrefix(f.Name(), "Fprint"), pkg == "fmt" && strings.HasPrefix(f.Name(), "Append"):
		return "fmt." + f.Name(), 1, nil
	case pkg == "fmt", pkg == "log", pkg == "log/slog", strings.HasPrefix(pkg, "github.com/prometheus/"), strings.HasPrefix(pkg, "go.opentelemetry.io/"):
		return pkg + "." + f.Name(), 0, nil
	}
	flow := r.known(f.Origin())
	if flow == nil || flow.Prints == 0 {
		return "", 0, nil
	}
	sig, shift := f.Signature(), 0
	if sig.Recv() != nil {
		shift = 1
	}
	return f.Name(), 0, func(i int) bool { return flow.Prints.has(min(i, sig.Params().Len()-1) + shift) }
}
