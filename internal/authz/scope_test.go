package authz_test

import (
	"testing"

	"github.com/cordon-ehr/cordon/internal/authz"
)

func known(t string) bool { return t == "Patient" || t == "Observation" }

func TestParseScope(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"system/Patient.rs": "system/Patient.rs", "system/*.cruds": "system/*.cruds", "system/Patient.read": "system/Patient.rs",
		"system/Patient.write": "system/Patient.cud", "system/*.*": "system/*.cruds", "system/Observation.c": "system/Observation.c",
	} {
		s, err := authz.ParseScope(in, known)
		if err != nil || s.String() != want {
			t.Errorf("%s: %s, %v; want %s", in, s, err, want)
		}
	}
	for _, in := range []string{"", "system", "system/Patient", "system/Patient.", "user/Patient.rs", "patient/Patient.rs", "system/Nothing.rs", "system/Patient.sr",
		"system/Patient.rr", "system/Patient.x", "system/Patient.rs?category=x", "openid", "system/.rs", "system/patient.rs", "SYSTEM/Patient.rs"} {
		if s, err := authz.ParseScope(in, known); err == nil {
			t.Errorf("%q was taken for %s", in, s)
		}
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	s, err := authz.ParseScopes("system/Patient.rs system/Observation.c", known)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a    authz.Action
		typ  string
		want bool
	}{{authz.Read, "Patient", true}, {authz.Search, "Patient", true}, {authz.Create, "Patient", false}, {authz.Update, "Patient", false}, {authz.Delete, "Patient", false},
		{authz.Create, "Observation", true}, {authz.Read, "Observation", false}, {authz.Read, "Condition", false}, {authz.Read, "*", false}} {
		d := s.Decide(c.a, c.typ)
		if d.Allow != c.want || d.Policy == "" || d.Reason == "" {
			t.Errorf("%c on %s: %+v", c.a, c.typ, d)
		}
	}
	if authz.Scopes(nil).Decide(authz.Read, "Patient").Allow {
		t.Error("no scope allows")
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ have, want, out string }{
		{"system/*.cruds", "system/Patient.rs", "system/Patient.rs"},
		{"system/Patient.rs", "system/*.cruds", "system/Patient.rs"},
		{"system/Patient.rs", "system/Observation.rs", ""},
		{"system/Patient.rs system/Observation.c", "system/*.cr", "system/Patient.r system/Observation.c"},
		{"system/Patient.r", "system/Patient.s", ""},
	} {
		have, _ := authz.ParseScopes(c.have, known)
		want, _ := authz.ParseScopes(c.want, known)
		if got := want.Within(have).String(); got != c.out {
			t.Errorf("%s within %s: %q, want %q", c.want, c.have, got, c.out)
		}
	}
}
