package phivet

import (
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/ssa"
)

// secret reports whether t is one of the PHI types.
func (c *config) secret(t types.Type) bool {
	n, ok := types.Unalias(t).(*types.Named)
	if !ok || n.Obj().Pkg() == nil {
		return false
	}
	switch strings.TrimPrefix(n.Obj().Pkg().Path(), c.module+"/internal/") + "." + n.Obj().Name() {
	case "phi.Text", "phi.Body", "seal.Secret":
		return true
	}
	return false
}

// holds reports whether fmt, given a t, can come to a PHI type: through fields, elements and pointers.
func (c *config) holds(t types.Type) bool { return c.reaches(t, map[types.Type]bool{}) }

func (c *config) reaches(t types.Type, seen map[types.Type]bool) bool {
	t = types.Unalias(t)
	if seen[t] {
		return false
	}
	seen[t] = true
	if c.secret(t) {
		return true
	}
	switch u := t.Underlying().(type) {
	case *types.Pointer:
		return c.reaches(u.Elem(), seen)
	case *types.Slice:
		return c.reaches(u.Elem(), seen)
	case *types.Array:
		return c.reaches(u.Elem(), seen)
	case *types.Map:
		return c.reaches(u.Key(), seen) || c.reaches(u.Elem(), seen)
	case *types.Struct:
		for f := range u.Fields() {
			if c.reaches(f.Type(), seen) {
				return true
			}
		}
	}
	return false
}

// carries reports whether text can travel in a t. What has a PHI type is looked after by its type.
func (c *config) carries(t types.Type) bool {
	if c.secret(t) {
		return false
	}
	switch u := types.Unalias(t).Underlying().(type) {
	case *types.Basic:
		return u.Info()&types.IsString != 0
	case *types.Slice:
		b, ok := u.Elem().Underlying().(*types.Basic)
		return (ok && b.Kind() == types.Byte) || c.carries(u.Elem())
	case *types.Array:
		b, ok := u.Elem().Underlying().(*types.Basic)
		return (ok && b.Kind() == types.Byte) || c.carries(u.Elem())
	case *types.Pointer:
		switch u.Elem().Underlying().(type) {
		case *types.Struct:
			return builder(u.Elem())
		}
		return c.carries(u.Elem())
	case *types.Interface:
		return true
	case *types.Map:
		return c.carries(u.Elem())
	case *types.Tuple:
		return true
	}
	return false
}

// builder reports whether t is a buffer that text is written into.
func builder(t types.Type) bool {
	if p, ok := t.(*types.Pointer); ok {
		t = p.Elem()
	}
	return slices.Contains([]string{"strings.Builder", "bytes.Buffer"}, types.TypeString(t, nil))
}

// name is package.Function or package.Type.Method, without the module for ours.
func (c *config) name(call *ssa.CallCommon) (pkg, name string) {
	var f *types.Func
	if call.IsInvoke() {
		f = call.Method
	} else if s := call.StaticCallee(); s != nil {
		f = object(s)
	}
	if f == nil || f.Pkg() == nil {
		if f != nil {
			return "", f.Name() // error.Error
		}
		return "", ""
	}
	name = f.Name()
	if recv := f.Signature().Recv(); recv != nil {
		t := recv.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if n, ok := types.Unalias(t).(*types.Named); ok {
			name = n.Obj().Name() + "." + name
		}
	}
	return strings.TrimPrefix(f.Pkg().Path(), c.module+"/internal/"), name
}

// object is the declared function behind an instance or a wrapper.
func object(f *ssa.Function) *types.Func {
	if o := f.Origin(); o != nil {
		f = o
	}
	obj, _ := f.Object().(*types.Func)
	return obj
}
