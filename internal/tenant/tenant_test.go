package tenant_test

import (
	"testing"

	"github.com/cordon-ehr/cordon/internal/tenant"
)

func TestParseSlug(t *testing.T) {
	t.Parallel()
	for _, ok := range []string{"riverside", "a1", "st-mary-2"} {
		if _, err := tenant.ParseSlug(ok); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{"", "a", "A1", "1a", "a-", "-a", "a_b", "a.b", "a/b", "www", "operator", "ä1", "a\x00b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"} {
		if s, err := tenant.ParseSlug(bad); err == nil {
			t.Errorf("%q was taken for %s", bad, s)
		}
	}
}

func TestParseID(t *testing.T) {
	t.Parallel()
	id := tenant.NewID()
	if got, err := tenant.ParseID(id.String()); err != nil || got != id {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "00000000-0000-0000-0000-000000000000", "{" + id.String() + "}", "urn:uuid:" + id.String(), id.String() + " "} {
		if _, err := tenant.ParseID(bad); err == nil {
			t.Errorf("%q was taken for an id", bad)
		}
	}
	if !(tenant.ID{}).IsZero() || id.IsZero() {
		t.Error("zero is not told from an id")
	}
}

func TestTransitions(t *testing.T) {
	t.Parallel()
	type step struct{ from, to tenant.State }
	allowed := map[step]bool{
		{tenant.Requested, tenant.Provisioning}: true, {tenant.Provisioning, tenant.Active}: true, {tenant.Active, tenant.Suspended}: true,
		{tenant.Suspended, tenant.Active}: true, {tenant.Active, tenant.Moving}: true, {tenant.Moving, tenant.Active}: true, {tenant.Active, tenant.Offboarding}: true,
		{tenant.Suspended, tenant.Offboarding}: true, {tenant.Offboarding, tenant.Archived}: true, {tenant.Offboarding, tenant.Suspended}: true, {tenant.Archived, tenant.Destroyed}: true,
	}
	all := []tenant.State{tenant.Requested, tenant.Provisioning, tenant.Active, tenant.Suspended, tenant.Moving, tenant.Offboarding, tenant.Archived, tenant.Destroyed}
	for _, from := range all {
		for _, to := range all {
			if got, want := tenant.Transition(from, to) == nil, from == to || allowed[step{from, to}]; got != want {
				t.Errorf("%s to %s: %v, want %v", from, to, got, want)
			}
		}
		reads, writes := from.Serves()
		if reads != (from == tenant.Active || from == tenant.Moving) || writes != (from == tenant.Active) {
			t.Errorf("%s serves %v %v", from, reads, writes)
		}
	}
}
