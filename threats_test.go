package cordon

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatsNameWhatExists reads docs/threats.md: all rows are there, each test and probe that it names exists, and a row without
// either says that it is not built.
func TestThreatsNameWhatExists(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, glob := range []string{"test/*_test.go", "internal/*/*_test.go", "internal/*/*/*_test.go", "internal/prove/controls.go"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(b)
		}
	}
	shown := regexp.MustCompile("`(Test\\w+|(?:chart|control|keys|seal|index|ledger|log|front)\\.[a-z-]+)`")
	rows := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| T") {
			continue
		}
		rows++
		names := shown.FindAllStringSubmatch(line, -1)
		if len(names) == 0 && !strings.Contains(line, "not built yet") {
			t.Errorf("nothing shows %.60s", line)
		}
		for _, n := range names {
			if !strings.Contains(code.String(), "func "+n[1]+"(") && !strings.Contains(code.String(), `"`+n[1]+`":`) {
				t.Errorf("%s is not there: %.60s", n[1], line)
			}
		}
	}
	if rows != 32 {
		t.Errorf("%d rows, not 32", rows)
	}
}
