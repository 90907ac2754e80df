package keyring

import (
	"context"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cordon-ehr/cordon/internal/seal"
	"github.com/cordon-ehr/cordon/internal/tenant"
)

// FileKMS keeps its root in a file of mode 0600: a random key, or a salt and a check value when the root comes from a
// passphrase (PBKDF2-HMAC-SHA-256, NIST SP 800-132). It is for development and tests: whoever reads the file, or knows the
// passphrase, has the root.
type FileKMS struct{ root seal.Secret }

type kmsFile struct {
	Format     int    `json:"format"`
	Key        []byte `json:"key,omitempty"`        // key file
	Salt       []byte `json:"salt,omitempty"`       // passphrase
	Iterations int    `json:"iterations,omitempty"` // passphrase
	Check      []byte `json:"check,omitempty"`      // seal of a constant: a wrong passphrase is told at start
}

const iterations = 600_000

var checkPlace = seal.Place{Tenant: tenant.ID{}, Table: "kms-check"}

// OpenFileKMS opens the file, or makes it when it is not there. passphrase "" means that the file itself holds the key.
func OpenFileKMS(path, passphrase string) (*FileKMS, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return createFileKMS(path, passphrase)
	}
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	st, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the key file: %w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the key file %s may be read by others (mode %04o): make it 0600", path, st.Mode().Perm())
	}
	var f kmsFile
	if err := json.Unmarshal(b, &f); err != nil || f.Format != 1 {
		return nil, fmt.Errorf("the key file %s is not in a known form", path)
	}
	if len(f.Key) > 0 {
		if passphrase != "" {
			return nil, fmt.Errorf("the key file %s needs no passphrase, but one is set", path)
		}
		root, err := seal.SecretFrom(f.Key)
		return &FileKMS{root}, err
	}
	root, err := fromPassphrase(passphrase, f.Salt, f.Iterations)
	if err != nil {
		return nil, err
	}
	if _, err := seal.NewKey(root, 1).Open(nil, f.Check, checkPlace); err != nil {
		return nil, fmt.Errorf("the passphrase does not open the key file %s", path)
	}
	return &FileKMS{root}, nil
}

func createFileKMS(path, passphrase string) (*FileKMS, error) {
	k := &FileKMS{seal.NewSecret()}
	f := kmsFile{Format: 1, Key: k.root.Reveal()}
	if passphrase != "" {
		f = kmsFile{Format: 1, Salt: make([]byte, 32), Iterations: iterations}
		_, _ = rand.Read(f.Salt)
		root, err := fromPassphrase(passphrase, f.Salt, f.Iterations)
		if err != nil {
			return nil, err
		}
		k.root = root
		f.Check = seal.NewKey(root, 1).Seal(nil, []byte("cordon"), checkPlace)
	}
	b, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	if err := writeKey(path, b); errors.Is(err, fs.ErrExist) {
		return OpenFileKMS(path, passphrase) // another process made it meanwhile: there is one root
	} else if err != nil {
		return nil, err
	}
	return k, nil
}

// writeKey makes the file durable before anything is wrapped under it: a crash after must find the key, a crash before finds
// nothing and makes another.
func writeKey(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("make the key file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(b)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // unlike a rename it never replaces a root that is in use
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("make the key file: %w", err)
	}
	return nil
}

// syncDir makes names in a folder durable: a synced file whose name is lost is lost.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func fromPassphrase(p string, salt []byte, n int) (seal.Secret, error) {
	if p == "" {
		return seal.Secret{}, errors.New("the key file needs its passphrase")
	}
	if len(salt) < 16 || n < 100_000 {
		return seal.Secret{}, errors.New("the key file's derivation parameters are too weak")
	}
	b, err := pbkdf2.Key(sha256.New, p, salt, n, 32)
	if err != nil {
		return seal.Secret{}, fmt.Errorf("derive the root key: %w", err)
	}
	return seal.SecretFrom(b)
}

// Wrap implements KMS.
func (k *FileKMS) Wrap(_ context.Context, key string, plain seal.Secret, at seal.Place) ([]byte, error) {
	return seal.NewKey(k.root.Derive("cordon/kms/"+key), 1).Seal(nil, plain.Reveal(), at), nil
}

// Unwrap implements KMS.
func (k *FileKMS) Unwrap(_ context.Context, key string, wrapped []byte, at seal.Place) (seal.Secret, error) {
	b, err := seal.NewKey(k.root.Derive("cordon/kms/"+key), 1).Open(nil, wrapped, at)
	if err != nil {
		return seal.Secret{}, err
	}
	return seal.SecretFrom(b)
}
