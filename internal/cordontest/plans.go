package cordontest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// statements are the texts that a platform's cell sent.
type statements struct {
	mu  sync.Mutex // guards all
	all map[string]bool
}

func (s *statements) add(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]bool{}
	}
	s.all[sql] = true
}

func (s *statements) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.all))
}

// Heard gives every statement that the platform's cell sent so far, each once.
func (p *Platform) Heard() []string { return p.heard.list() }

// ExplainAll is explainAll for a platform of the test's own.
func (p *Platform) ExplainAll(t testing.TB) {
	t.Helper()
	if err := p.explainAll(); err != nil {
		t.Error(err)
	}
}

// explainAll asks, as the cell's role, for the generic plan of every statement that the cell sent to the shared platform in the whole
// run of the test binary, and judges it: no text is new to this guard, because it takes what there was.
func (p *Platform) explainAll() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, p.Info.Postgres.Cell)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(ctx) }()
	var bad []error
	for _, sql := range p.heard.list() {
		if !aboutTenants(sql) {
			continue
		}
		wrong, err := explain(ctx, c, sql)
		if err != nil {
			wrong = []string{err.Error()}
		}
		for _, w := range wrong {
			bad = append(bad, fmt.Errorf("%s in\n%s", w, sql))
		}
	}
	return errors.Join(bad...)
}

// aboutTenants leaves out what reads no table, transaction control, and what provisioning's probes ask on purpose (they look for
// rows of others, and so carry no tenant).
func aboutTenants(sql string) bool {
	if strings.HasPrefix(sql, "SELECT EXISTS (SELECT 1 FROM ") || probeInsert.MatchString(sql) || probeChange.MatchString(sql) {
		return false
	}
	return tables.MatchString(sql)
}

var (
	tables      = regexp.MustCompile(`\b(?:FROM|JOIN|INTO|UPDATE)\s+(?:head|version|idx|ref|range|audit|ledger\w*|witness\w*)\b`)
	probeInsert = regexp.MustCompile(`^INSERT INTO \w+ \(tenant\) VALUES \(\$1\)$`)
	probeChange = regexp.MustCompile(`^(?:UPDATE|DELETE FROM) \w+ (?:SET \w+ = \w+ )?WHERE false$`)
)

// explain gives what is wrong with a statement's generic plan.
func explain(ctx context.Context, c *pgx.Conn, sql string) ([]string, error) {
	tx, err := c.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	if _, err := tx.Exec(ctx, "SELECT set_config('app.tenant', '1', true)"); err != nil {
		return nil, err
	}
	d, err := tx.Prepare(ctx, "guarded", sql)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	call := "EXECUTE guarded"
	if n := len(d.ParamOIDs); n > 0 {
		call += "(" + strings.TrimSuffix(strings.Repeat("NULL,", n), ",") + ")"
	}
	var text string
	if err := tx.QueryRow(ctx, "EXPLAIN (FORMAT JSON) "+call, pgx.QueryExecModeSimpleProtocol).Scan(&text); err != nil {
		return nil, fmt.Errorf("explain: %w", err)
	}
	if err := c.Deallocate(ctx, "guarded"); err != nil {
		return nil, err
	}
	var plans []struct {
		Plan map[string]any `json:"Plan"`
	}
	if err := json.Unmarshal([]byte(text), &plans); err != nil {
		return nil, err
	}
	return WrongNodes(sql, plans[0].Plan), nil
}

// WrongNodes walks the plan of a statement on tenants' rows, and names what must not be in it.
func WrongNodes(sql string, plan map[string]any) []string {
	out := wrongNodes(plan, "")
	if strings.HasPrefix(sql, "INSERT") && !insertTenant.MatchString(sql) {
		out = append(out, "an insert that does not take its tenant from $1")
	}
	// A list that is looked at row by row says so with LATERAL (… LIMIT n). Where PostgreSQL pulled one up, it joins as it likes, and
	// blind tokens tell it nothing. A count walks its lists to their ends.
	if want, got := strings.Count(sql, "LATERAL ("), limits(plan); got < want && !strings.HasPrefix(sql, "SELECT count(*)") {
		out = append(out, fmt.Sprintf("a flattened join: %d lateral lists, %d limits in the plan", want, got))
	}
	return out
}

// limits counts the Limit nodes of a plan.
func limits(n map[string]any) (count int) {
	if n["Node Type"] == "Limit" {
		count++
	}
	subs, _ := n["Plans"].([]any)
	for _, s := range subs {
		count += limits(s.(map[string]any))
	}
	return count
}

// insertTenant finds the tenant among the columns of an INSERT whose values take $1.
var insertTenant = regexp.MustCompile(`(?s)^INSERT INTO \w+ \([^)]*\btenant\b[^)]*\).*\$1\b`)

func wrongNodes(n map[string]any, in string) (out []string) {
	kind := fmt.Sprint(n["Node Type"])
	rel, scans := n["Relation Name"].(string)
	if strings.HasPrefix(rel, "pg_") { // the catalog: the self-check
		return nil
	}
	at := kind + " on " + rel + in
	switch kind {
	case "Seq Scan", "Bitmap Heap Scan", "Hash Join", "Merge Join", "Materialize", "Sample Scan", "Tid Scan":
		out = append(out, at)
	}
	// A lookup of one row by its key may look at that row; a walk may not.
	one := n["Index Name"] == "head_pkey" && strings.Contains(fmt.Sprint(n["Index Cond"]), "rid")
	if f, ok := n["Filter"]; ok && strings.HasPrefix(kind, "Index") && !one {
		out = append(out, fmt.Sprintf("%s filters %v (removed %v)", at, f, n["Rows Removed by Filter"]))
	}
	// Row security adds a condition of its own on every table: ours must stand beside it for every alias.
	if strings.HasPrefix(kind, "Index") && scans && !strings.Contains(fmt.Sprint(n["Index Cond"]), "(tenant = $1)") {
		out = append(out, fmt.Sprintf("%s as %v without tenant = $1 in its condition %v", at, n["Alias"], n["Index Cond"]))
	}
	subs, _ := n["Plans"].([]any)
	for _, s := range subs {
		out = append(out, wrongNodes(s.(map[string]any), " under "+kind)...)
	}
	return out
}
