package edge

import (
	"strings"
	"testing"
)

// FuzzHost: a Host header is the platform's own, one label before the domain, or refused: nothing else can name a tenant.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"cordon.example", "riverside.cordon.example:443", "RIVERSIDE.cordon.example.", "cordon.example:1.evil.example", "a.b.cordon.example", "[::1]:443", ".cordon.example", "cordon.example:", "x@cordon.example", "riverside.cordon.example:99999"} {
		f.Add(s)
	}
	e := &Edge{cfg: Config{Domain: "cordon.example"}, hosts: map[string]bool{"cordon.example": true, "127.0.0.1": true}}
	f.Fuzz(func(t *testing.T, host string) {
		slug, own, err := e.host(host)
		low := strings.ToLower(host)
		switch {
		case err != nil && (slug != "" || own):
			t.Fatalf("%q is refused, and names %q", host, slug)
		case err == nil && own && !strings.Contains(low, "cordon.example") && !strings.Contains(low, "127.0.0.1"):
			t.Fatalf("%q is taken for our own", host)
		case err == nil && !own && (slug == "" || strings.Contains(slug, ".") || !strings.HasPrefix(strings.TrimLeft(low, "["), slug+".cordon.example")):
			t.Fatalf("%q names %q", host, slug)
		}
	})
}
