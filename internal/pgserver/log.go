package pgserver

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// largestLog is where a start sets the old log aside, keeping one. While postgres runs the log only grows, but what it
// holds is server events, a few lines a day (see law).
const largestLog = 4 << 20

// serverlog is where postgres writes, opened by us: its account need not reach the folder.
type serverlog struct {
	file  *os.File
	start int64 // where this run begins
}

func openLog(dir string) (serverlog, error) {
	path := filepath.Join(dir, "pg.log")
	if info, err := os.Stat(path); err == nil && info.Size() > largestLog {
		if err := os.Rename(path, path+".1"); err != nil {
			return serverlog{}, fmt.Errorf("set the old server log aside: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return serverlog{}, fmt.Errorf("open the server log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return serverlog{}, fmt.Errorf("open the server log: %w", err)
	}
	return serverlog{f, info.Size()}, nil
}

// lastWords are the last lines of this run, for an error message; empty when there are none.
func (l serverlog) lastWords() string {
	const lines, bytes = 8, 4 << 10
	info, err := l.file.Stat()
	if err != nil {
		return ""
	}
	from := max(l.start, info.Size()-bytes)
	raw, err := io.ReadAll(io.NewSectionReader(l.file, from, info.Size()-from))
	said := strings.TrimSpace(string(raw))
	if err != nil || said == "" {
		return ""
	}
	all := strings.Split(said, "\n")
	return fmt.Sprintf("; the last lines of %s:\n%s", l.file.Name(), strings.Join(all[max(0, len(all)-lines):], "\n"))
}
