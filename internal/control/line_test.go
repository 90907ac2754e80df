package control

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestLineIsOnePlainLine sends what could forge a line, hide one or turn it around: a reader gets one line of ASCII, and the text whole.
func TestLineIsOnePlainLine(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"\r\n{\"event_id\":\"forged\"}", "\x1b[2J\x1b[31m", "\u202egnp.exe", "\u2028\u2029\u0085\x7f\x00", "a\U0001F600b", "plain", "é", "\u2066x\u2069"} {
		b, err := json.Marshal(map[string]string{"text": text})
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		if err := (&stream{w: w}).line(b); err != nil {
			t.Fatal(err)
		}
		got := w.Body.String()
		if strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") || strings.ContainsFunc(got[:len(got)-1], func(r rune) bool { return r < 0x20 || r >= 0x7f }) {
			t.Errorf("%q goes out as %q", text, got)
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(got), &back); err != nil || back["text"] != text {
			t.Errorf("%q comes back as %q: %v", text, back["text"], err)
		}
	}
}
