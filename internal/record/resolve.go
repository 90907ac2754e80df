package record

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
	"github.com/cordon-ehr/cordon/internal/fhir"
	"github.com/cordon-ehr/cordon/internal/fhir/search"
)

// Reference is Type/id/_history/version.
func (r *Resource) Reference() string {
	return fmt.Sprintf("%s/%s/_history/%d", r.Type.Name, r.ID.Reveal(), r.Version)
}

// queries collects the distinct searches that the Bundle needs: conditional references and ifNoneExist. locks are those of
// the conditional creates, ascending.
func (t *transaction) queries() (texts []string, locks []int64, err error) {
	seen := map[string]bool{}
	add := func(q string) {
		if !seen[q] {
			seen[q] = true
			texts = append(texts, q)
		}
	}
	for i := range t.entries {
		e := &t.entries[i]
		if e.IfNoneExist == "" {
			continue
		}
		if e.Method != "POST" {
			return nil, nil, e.wrong(fault.Invalid, "invalid", ".request.ifNoneExist", "ifNoneExist goes with POST")
		}
		q := canonical(strings.TrimPrefix(e.IfNoneExist, e.Type.Name+"?"))
		add(e.Type.Name + "?" + q)
		locks = append(locks, t.c.conditionLock(e.Type, q))
	}
	for _, l := range t.links {
		if conditional(l.Target) {
			add(l.Target)
		}
	}
	slices.Sort(locks)
	return texts, slices.Compact(locks), nil
}

// resolve runs the searches, and lets conditional creates that found their resource stand for it.
func (t *transaction) resolve(ctx context.Context, read run, texts []string, queries []*search.Query) error {
	if err := t.lookUp(ctx, read, texts, queries); err != nil {
		return err
	}
	made := map[string]int{}
	for i := range t.entries {
		e := &t.entries[i]
		if e.IfNoneExist == "" {
			continue
		}
		q := e.Type.Name + "?" + canonical(strings.TrimPrefix(e.IfNoneExist, e.Type.Name+"?"))
		if j, twice := made[q]; twice {
			return e.wrong(fault.Invalid, "duplicate", ".request.ifNoneExist", "entry %d has the same condition", t.entries[j].Index)
		}
		made[q] = i
		switch found := t.byQuery[q]; len(found) {
		case 0:
		case 1:
			t.changes[i], t.done[i] = nil, Outcome{Status: 200, Resource: found[0]}
			if e.FullURL != "" {
				t.ids[e.FullURL] = e.Type.Name + "/" + found[0].ID.Reveal()
			}
		default:
			return e.wrong(fault.Precondition, "multiple-matches", ".request.ifNoneExist", "the condition matches more than one resource")
		}
	}
	return nil
}

// conditions parses the searches and asks whether the caller may run them.
func (t *transaction) conditions(ctx context.Context, texts []string) ([]*search.Query, error) {
	queries := make([]*search.Query, len(texts))
	for i, text := range texts {
		typ, raw, _ := strings.Cut(text, "?")
		q, err := t.s.condition(ctx, t.c, fhir.ResourceType(typ), raw)
		if err != nil {
			return nil, err
		}
		queries[i] = q
	}
	return queries, nil
}

// lookUp runs all searches in one round trip; one whose first candidates were all refused by Match goes on alone.
func (t *transaction) lookUp(ctx context.Context, read run, texts []string, queries []*search.Query) error {
	found, err := t.s.matchAll(ctx, t.c, read, queries)
	if err != nil {
		return err
	}
	for i, text := range texts {
		for j := range found[i] {
			if e := t.deletes(key(&found[i][j])); e != nil {
				return e.wrong(fault.Invalid, "conflict", ".request.url", "another entry has a condition that matches what this one deletes")
			}
		}
		t.byQuery[text] = found[i]
	}
	return nil
}

// deletes finds the entry that deletes a resource. Deletions come first (FHIR R4 http.html#trules), so nothing may be bound to it.
func (t *transaction) deletes(ref string) *Entry {
	for i := range t.entries {
		if e := &t.entries[i]; e.Method == "DELETE" && e.Type.Name+"/"+e.ID == ref {
			return e
		}
	}
	return nil
}

// splices are the references of one entry that get another text: urn:uuid and absolute URLs of other entries, and queries.
func (t *transaction) splices(e *Entry) ([]fhir.Splice, error) {
	start, end := e.Resource.Span()
	from, _ := slices.BinarySearchFunc(t.links, start, func(l fhir.Link, at int) int { return cmp.Compare(l.Start, at) })
	var out []fhir.Splice
	for _, l := range t.links[from:] {
		if l.Start >= end {
			break
		}
		to, err := t.target(e, &l)
		if err != nil {
			return nil, err
		}
		if to != "" {
			out = append(out, fhir.Splice{Start: l.Start, End: l.End, With: quote(to)})
		}
	}
	return out, nil
}

// target gives the new text of a link, "" to leave it as it is.
func (t *transaction) target(e *Entry, l *fhir.Link) (string, error) {
	bad := func(k fault.Kind, code, text string) error {
		f := e.wrong(k, code, "", "%s", text)
		f.Issues[0].Expression = e.place(".resource") + strings.TrimPrefix(fhir.PlaceAt(e.Resource, l.Start), e.Type.Name)
		return f
	}
	if to, ok := t.ids[l.Target]; ok {
		return to, nil
	}
	if conditional(l.Target) {
		found, asked := t.byQuery[l.Target]
		switch {
		case !asked: // a URI that only looks like a query
			return "", nil
		case len(found) == 1:
			return found[0].Type.Name + "/" + found[0].ID.Reveal(), nil
		case len(found) == 0:
			return "", bad(fault.Precondition, "not-found", "a conditional reference matches nothing")
		}
		return "", bad(fault.Precondition, "multiple-matches", "a conditional reference matches more than one resource")
	}
	// A relative reference in an entry of another server means that server's resource (FHIR R4 bundle.html#references).
	if base, ok := strings.CutSuffix(e.FullURL, "/"+e.Type.Name+"/"+e.Resource.Get("id").Str()); ok && strings.HasPrefix(base, "http") {
		if to, ok := t.ids[base+"/"+l.Target]; ok {
			return to, nil
		}
	}
	// A urn names an entry of this Bundle or nothing: stored as it is, it would never resolve again (FHIR R4 bundle.html#references).
	// A Bundle that is an entry has entries of its own to name.
	if l.Reference && isURN(l.Target) && e.Type.Name != "Bundle" {
		return "", bad(fault.Invalid, "not-found", "a reference by urn names no entry of this Bundle that is stored")
	}
	return "", nil
}

func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("record: internal error: a string is always JSON") // what err says may quote it
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}
