package worm

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// Folder keeps objects as read-only files. What was put is on the disk, with the names that lead to it, when Put returns.
type Folder struct{ dir string }

// NewFolder makes the folder when it is missing.
func NewFolder(dir string) (*Folder, error) {
	if !filepath.IsAbs(dir) {
		return nil, fault.New(fault.Invalid, "the folder of write-once storage is named by an absolute path")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "write-once storage cannot be made")
	}
	return &Folder{dir}, nil
}

// path refuses keys that lead elsewhere.
func (f *Folder) path(key string) (string, error) {
	if !filepath.IsLocal(key) || strings.HasSuffix(key, "/") {
		return "", fault.New(fault.Internal, "not a key of an object")
	}
	return filepath.Join(f.dir, filepath.FromSlash(key)), nil
}

// Put implements Store: the bytes are written aside, and the finished file is linked to its name, which fails when the name is taken.
func (f *Folder) Put(_ context.Context, key string, data []byte) error {
	at, err := f.path(key)
	if err != nil {
		return err
	}
	if err := f.mkdir(filepath.Dir(at)); err != nil {
		return unavailable(err)
	}
	tmp, err := os.CreateTemp(f.dir, ".put-*")
	if err != nil {
		return unavailable(err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(0o444), tmp.Sync(), tmp.Close()); err != nil {
		return unavailable(err)
	}
	if err := os.Link(tmp.Name(), at); errors.Is(err, fs.ErrExist) {
		return taken(key)
	} else if err != nil {
		return unavailable(err)
	}
	return unavailable(sync(filepath.Dir(at)))
}

// mkdir makes folders from the top, each name made durable in the one above.
func (f *Folder) mkdir(dir string) error {
	if _, err := os.Stat(dir); err == nil || dir == f.dir {
		return nil
	}
	if err := f.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return sync(filepath.Dir(dir))
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get implements Store.
func (f *Folder) Get(_ context.Context, key string) ([]byte, error) {
	at, err := f.path(key)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, absent(key)
	}
	return b, unavailable(err)
}

// List implements Store.
func (f *Folder) List(_ context.Context, prefix, after string) ([]string, error) {
	root := filepath.Join(f.dir, filepath.FromSlash(prefix))
	if !strings.HasSuffix(prefix, "/") {
		root = filepath.Dir(root)
	}
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(f.dir, path)
		if key := filepath.ToSlash(rel); err == nil && strings.HasPrefix(key, prefix) && key > after {
			out = append(out, key)
		}
		return err
	})
	slices.Sort(out)
	return out, unavailable(err)
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fault.Wrap(fault.Unavailable, err, "write-once storage does not answer")
}
