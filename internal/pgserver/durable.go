package pgserver

import (
	"fmt"
	"os"
	"path/filepath"
)

// writeDurably replaces a file as a whole and waits for the disk: after a crash there is the old one or the new one.
func writeDurably(path string, content []byte, mode os.FileMode) error {
	return write(path, content, mode, true)
}

// replace is writeDurably for what the next start writes anyway, readable by the account of postgres.
func replace(path, content string) error { return write(path, []byte(content), 0o644, false) }

func write(path string, content []byte, mode os.FileMode, sync bool) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, err)
		}
	}()
	// One name per file, not a random one: what a crash leaves here, the next write of the same file takes away.
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".new")
	if err := os.RemoveAll(temp); err != nil {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Chmod(mode); err != nil { // whatever the umask
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if !sync {
		return os.Rename(temp, path)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
