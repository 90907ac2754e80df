package phi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/phi"
)

func TestPHIDoesNotPrint(t *testing.T) {
	t.Parallel()
	name, body := phi.Text("Lovelace"), phi.Body("Lovelace")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", slog.Any("name", name), slog.Any("body", body), slog.Any("both", struct{ A, B any }{name, body}))
	j, err := json.Marshal(map[string]any{"a": name, "b": body, string("k"): []phi.Text{name}})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{log.String(), string(j), fmt.Sprint(name, body), fmt.Sprintf("%s %v %q %x %+v %#v %d", name, name, name, name, name, name, name),
		fmt.Sprintf("%s %v %q %x %+v %#v", body, body, body, body, body, body), errors.Join(fmt.Errorf("read %s", name)).Error(), fmt.Sprintf("%v", struct{ X phi.Text }{name})} {
		if strings.Contains(out, "Lovelace") || strings.Contains(out, fmt.Sprintf("%x", "Lovelace")) {
			t.Errorf("PHI prints: %s", out)
		}
	}
	if name.Reveal() != "Lovelace" || string(body.Reveal()) != "Lovelace" {
		t.Error("who asks by name does not get it")
	}
}
