package authz_test

import (
	"testing"

	"github.com/cordon-ehr/cordon/internal/authz"
)

// FuzzScopes: what parses says itself again; what is asked within what is had never grants more than either.
func FuzzScopes(f *testing.F) {
	f.Add("system/*.cruds", "system/Patient.rs")
	f.Add("system/Patient.read system/Observation.write", "system/*.* system/Patient.d")
	f.Add("user/*.*", "system/Patient.sr")
	f.Add("system/Patient.rs\x00", " system//.")
	actions := []authz.Action{authz.Create, authz.Read, authz.Update, authz.Delete, authz.Search}
	f.Fuzz(func(t *testing.T, asked, had string) {
		want, err := authz.ParseScopes(asked, known)
		if err != nil {
			return
		}
		again, err := authz.ParseScopes(want.String(), known)
		if err != nil || again.String() != want.String() {
			t.Fatalf("%q says itself as %q, which is %q (%v)", asked, want, again, err)
		}
		have, err := authz.ParseScopes(had, known)
		if err != nil {
			return
		}
		got := want.Within(have)
		for _, typ := range []string{"Patient", "Observation", "*"} {
			for _, a := range actions {
				if got.Decide(a, typ).Allow && (!want.Decide(a, typ).Allow || !have.Decide(a, typ).Allow) {
					t.Fatalf("%q within %q grants %c on %s", asked, had, a, typ)
				}
				if typ != "*" && !got.Decide(a, typ).Allow && want.Decide(a, typ).Allow && have.Decide(a, typ).Allow {
					t.Fatalf("%q within %q loses %c on %s", asked, had, a, typ)
				}
			}
		}
	})
}
