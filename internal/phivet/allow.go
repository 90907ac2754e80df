package phivet

import (
	"bytes"
	"go/token"
	"strings"

	"golang.org/x/tools/go/analysis"
)

const allowWord = "//phi:allow"

// allowance is one comment that allows what its line, or the line below it, does.
type allowance struct {
	pos   token.Pos
	above bool // it stands alone, and is about the line below
	used  bool
}

// comments finds the allowances of non-test files, and reports those without a reason.
func comments(pass *analysis.Pass) map[string]map[int]*allowance {
	out := map[string]map[int]*allowance{}
	for _, f := range pass.Files {
		name := pass.Fset.File(f.FileStart).Name()
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := pass.ReadFile(name)
		if err != nil {
			pass.Reportf(f.FileStart, "phi:allow: %v", err)
			continue
		}
		for _, group := range f.Comments {
			for _, c := range group.List {
				reason, ok := strings.CutPrefix(c.Text, allowWord)
				if !ok {
					continue
				}
				if reason, _, _ = strings.Cut(reason, "// want"); strings.TrimSpace(reason) == "" || reason[0] != ' ' {
					pass.Reportf(c.Pos(), "phi:allow without a reason")
					continue
				}
				if out[name] == nil {
					out[name] = map[int]*allowance{}
				}
				at := pass.Fset.Position(c.Pos())
				before := src[at.Offset-at.Column+1 : at.Offset]
				out[name][at.Line] = &allowance{pos: c.Pos(), above: len(bytes.TrimSpace(before)) == 0}
			}
		}
	}
	return out
}

// allow reports whether a comment allows what stands at pos.
func (r *room) allow(pos token.Pos) bool {
	at := r.pass.Fset.Position(pos)
	for _, line := range []int{at.Line, at.Line - 1} {
		if a := r.allowed[at.Filename][line]; a != nil && a.above == (line != at.Line) {
			a.used = true
			return true
		}
	}
	return false
}

// unused reports allowances that nothing needs.
func (r *room) unused() {
	for _, lines := range r.allowed {
		for _, a := range lines {
			if !a.used {
				r.pass.Reportf(a.pos, "phi:allow allows nothing here: take it away")
			}
		}
	}
}
