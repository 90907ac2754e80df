package phivet

import (
	"go/token"
	"go/types"

	"golang.org/x/tools/go/ssa"
)

// field is one field of one struct, by the value that holds or points at it.
type field struct {
	base ssa.Value
	at   int
}

// follow carries origins through one function, and notes what of them returns or reaches a sink.
func (r *room) follow(f *ssa.Function) {
	if f.Parent() == nil {
		for i, p := range f.Params {
			if r.carries(p.Type()) {
				r.mark(p, fromParam(i))
			}
		}
	}
	for _, b := range f.Blocks {
		for _, in := range b.Instrs {
			r.step(f, in)
		}
	}
}

// mark adds origins to a value; rounds go on while something is new.
func (r *room) mark(v ssa.Value, o Origins) {
	if o&^r.taint[v] != 0 {
		r.taint[v] |= o
		r.changed = true
	}
}

// pass adds origins to a value that text can travel in.
func (r *room) flowTo(v ssa.Value, o Origins) {
	if o != 0 && r.carries(v.Type()) {
		r.mark(v, o)
	}
}

func (r *room) step(f *ssa.Function, in ssa.Instruction) {
	switch v := in.(type) {
	case *ssa.BinOp:
		if v.Op == token.ADD {
			r.flowTo(v, r.taint[v.X]|r.taint[v.Y])
		}
	case *ssa.Phi:
		for _, e := range v.Edges {
			r.flowTo(v, r.taint[e])
		}
	case *ssa.Convert:
		r.convert(v, v.X)
	case *ssa.ChangeType:
		r.convert(v, v.X)
	case *ssa.ChangeInterface:
		r.flowTo(v, r.taint[v.X])
	case *ssa.MakeInterface:
		r.flowTo(v, r.taint[v.X]|r.whole[root(v.X)])
	case *ssa.TypeAssert:
		r.flowTo(v, r.taint[v.X])
	case *ssa.Slice:
		r.flowTo(v, r.taint[v.X])
	case *ssa.Index:
		r.flowTo(v, r.taint[v.X])
	case *ssa.IndexAddr:
		r.flowTo(v, r.taint[v.X])
	case *ssa.Lookup:
		r.flowTo(v, r.taint[v.X])
	case *ssa.Range:
		r.mark(v, r.taint[v.X])
	case *ssa.Next:
		r.mark(v, r.taint[v.Iter])
	case *ssa.Extract:
		r.extract(v)
	case *ssa.UnOp:
		if v.Op == token.MUL || v.Op == token.ARROW {
			r.flowTo(v, r.taint[v.X])
		}
	case *ssa.Field:
		r.flowTo(v, r.read(v.X, v.Field))
	case *ssa.FieldAddr:
		if r.carries(deref(v.Type())) {
			r.mark(v, r.read(v.X, v.Field))
		}
	case *ssa.Store:
		r.store(f, v)
	case *ssa.MapUpdate:
		r.mark(v.Map, r.taint[v.Value]|r.taint[v.Key])
	case *ssa.MakeClosure:
		r.closure(v)
	case *ssa.Panic:
		r.sink(f, v.Pos(), r.taint[v.X], "panic")
	case *ssa.Return:
		r.returns(f, v)
	case ssa.CallInstruction:
		r.call(f, v)
	}
}

// convert is where a PHI type becomes plain text.
func (r *room) convert(to ssa.Value, from ssa.Value) {
	if r.secret(from.Type()) {
		r.flowTo(to, fromSource)
		return
	}
	r.flowTo(to, r.taint[from])
}

func (r *room) extract(v *ssa.Extract) {
	if call, ok := v.Tuple.(*ssa.Call); ok {
		if t := r.tuples[call]; v.Index < len(t) {
			r.flowTo(v, t[v.Index])
		}
		return
	}
	r.flowTo(v, r.taint[v.Tuple])
}

// root is the variable behind a struct that was loaded or selected.
func root(v ssa.Value) ssa.Value {
	for {
		u, ok := v.(*ssa.UnOp)
		if !ok || u.Op != token.MUL {
			return v
		}
		v = u.X
	}
}

func deref(t types.Type) types.Type {
	if p, ok := t.Underlying().(*types.Pointer); ok {
		return p.Elem()
	}
	return t
}

// read gives the origins of a field: what was stored there, or what it is known to hold.
func (r *room) read(base ssa.Value, at int) Origins {
	o := r.fields[field{root(base), at}]
	if t, name := fieldOf(base, at); sourceFields[t+"."+name] {
		o |= fromSource
	}
	return o
}

// fieldOf names the type and the field.
func fieldOf(base ssa.Value, at int) (typ, name string) {
	t := deref(base.Type())
	s, ok := t.Underlying().(*types.Struct)
	if !ok {
		return "", ""
	}
	if n, ok := types.Unalias(t).(*types.Named); ok && n.Obj().Pkg() != nil {
		typ = n.Obj().Pkg().Path() + "." + n.Obj().Name()
	}
	return typ, s.Field(at).Name()
}

func (r *room) store(f *ssa.Function, v *ssa.Store) {
	o := r.taint[v.Val]
	switch a := v.Addr.(type) {
	case *ssa.FieldAddr:
		t, name := fieldOf(a.X, a.Field)
		if what := r.sinkField(t, name); what != "" {
			r.sink(f, v.Pos(), o, what)
			return // it was reported here, once
		}
		r.put(field{root(a.X), a.Field}, o)
		r.mark(a, o)
	case *ssa.IndexAddr:
		r.mark(a.X, o)
		r.mark(root(a.X), o)
	default:
		if s, ok := v.Val.Type().Underlying().(*types.Struct); ok { // a struct that is copied keeps what is in its fields
			for i := range s.NumFields() {
				r.put(field{root(v.Addr), i}, r.fields[field{root(v.Val), i}])
			}
		}
		if o != 0 && !r.secret(deref(v.Addr.Type())) {
			r.mark(v.Addr, o)
		}
	}
	if fv, ok := v.Addr.(*ssa.FreeVar); ok {
		if b := r.bound[fv]; b != nil {
			r.mark(b, o)
		}
	}
}

// put adds origins to a field.
func (r *room) put(k field, o Origins) {
	if o&^r.fields[k] != 0 {
		r.fields[k] |= o
		r.whole[k.base] |= o
		r.changed = true
	}
}

// closure ties captured variables to those of the function around.
func (r *room) closure(v *ssa.MakeClosure) {
	inner := v.Fn.(*ssa.Function)
	for i, b := range v.Bindings {
		r.bound[inner.FreeVars[i]] = b
		r.mark(inner.FreeVars[i], r.taint[b])
		r.mark(b, r.taint[inner.FreeVars[i]])
	}
}

// outer is the declared function that f is, or is within.
func outer(f *ssa.Function) *ssa.Function {
	for f.Parent() != nil {
		f = f.Parent()
	}
	return f
}

func (r *room) returns(f *ssa.Function, v *ssa.Return) {
	obj := object(f)
	if f.Parent() != nil || obj == nil {
		return
	}
	flow := r.flowOf(obj)
	for i, res := range v.Results {
		if o := r.taint[res]; o&^flow.Results[i] != 0 && r.carries(res.Type()) {
			flow.Results[i] |= o
			r.changed = true
		}
	}
}

// flowOf is the fact of a function of this package, made when it is not there.
func (r *room) flowOf(f *types.Func) *Flow {
	flow := r.flows[f]
	if flow == nil {
		flow = &Flow{Results: make([]Origins, f.Signature().Results().Len())}
		r.flows[f] = flow
	}
	return flow
}

// known gives a function's fact, of this package or of another.
func (r *room) known(f *types.Func) *Flow {
	if f == nil {
		return nil
	}
	if flow := r.flows[f]; flow != nil {
		return flow
	}
	var flow Flow
	if f.Pkg() != nil && f.Pkg() != r.pass.Pkg && r.pass.ImportObjectFact(f, &flow) {
		return &flow
	}
	return nil
}

// sink judges text that arrives where people may read it: of a patient, it is reported; of a parameter, it is the caller's matter.
func (r *room) sink(f *ssa.Function, pos token.Pos, o Origins, what string) {
	if o == 0 || r.allow(pos) {
		return
	}
	if o&fromSource != 0 {
		r.report(pos, "a value of a patient can reach %s", what)
	}
	obj := object(outer(f))
	if params := o &^ fromSource; params != 0 && obj != nil {
		flow := r.flowOf(obj)
		if params&^flow.Prints != 0 {
			flow.Prints |= params
			r.changed = true
		}
		if flow.Sink == "" {
			flow.Sink = what
		}
	}
}
