// Package legal does what is meant to be done with values of patients.
package legal

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"example.org/house/internal/fault"
	"example.org/house/internal/fhir"
	"example.org/house/internal/phi"
	"example.org/house/internal/words"
)

type resource struct {
	kind string
	id   phi.Text
	body phi.Body
}

func answer(w http.ResponseWriter, r *resource) {
	w.Header().Set("Location", r.kind+"/"+r.id.Reveal())
	_, _ = w.Write(r.body.Reveal())
}

func key(r *resource) string { return r.kind + "/" + r.id.Reveal() } // want key:`results \[1\]`

func spelled(t phi.Text) string { return fmt.Sprintf("%s/%d", t.Reveal(), 1) } // want spelled:`results \[1\]`

func counted(l *slog.Logger, v fhir.Value, r *resource) error {
	name := v.Get("family").Str()
	l.Info("read", slog.Int("bytes", len(name)), slog.String("type", r.kind), slog.Bool("a", strings.HasPrefix(name, "a")))
	n, err := strconv.Atoi(name)
	if err != nil {
		return fault.New(1, "%s is not a number", "a name")
	}
	log.Print(n, words.Second(name, "constant"), kinds[name])
	return errors.New("no such " + r.kind)
}

var kinds = map[string]string{"Patient": "a patient"}

func masked(t phi.Text) []phi.Text {
	out := []phi.Text{t, phi.Text(t.Reveal() + "x")}
	log.Print(len(out))
	return out
}

func plain(s string) error { return fmt.Errorf("no %s", s) } // want plain:`prints 10`

func called() error { return plain("bread") }

func split(r *resource) {
	x := struct{ kind, id string }{r.kind, r.id.Reveal()}
	log.Print(x.kind)
}
