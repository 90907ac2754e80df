package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// account is who postgres runs as: ourselves, or, when we are root, someone who is not (postgres refuses root).
type account struct {
	name     string
	uid, gid uint32
}

// privileged says whether we may, and so must, run postgres as someone else.
func privileged() bool { return os.Geteuid() == 0 }

// accountFor picks the account for a data folder. Data that exists keeps its owner: were it "nobody" who made it and
// the user "postgres" came with a later package, postgres would refuse the folder.
func accountFor(data string) (account, error) {
	info, err := os.Stat(data)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return account{}, fmt.Errorf("look at the data folder: %w", err)
	}
	if err == nil {
		owner := info.Sys().(*syscall.Stat_t).Uid
		switch {
		case owner == 0 && privileged():
			return account{}, fmt.Errorf("the folder %s belongs to root, whom postgres refuses to run as; "+
				"give it back with: chown -R postgres: %s", data, data)
		case !privileged() && int(owner) != os.Geteuid():
			return account{}, fmt.Errorf("the folder %s belongs to user %s; start as that user or as root",
				data, accountOf(owner).name)
		}
		return accountOf(owner), nil
	}
	if !privileged() {
		return accountOf(uint32(os.Geteuid())), nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		if uid, err := strconv.ParseUint(u.Uid, 10, 32); err == nil && uid != 0 {
			return accountOf(uint32(uid)), nil
		}
	}
	return account{}, errors.New("postgres refuses to run as root, and this machine has neither a user postgres nor a user nobody")
}

// accountOf completes a user id; one without a passwd entry (a container's) is named by its number.
func accountOf(uid uint32) account {
	a := account{name: strconv.Itoa(int(uid)), uid: uid, gid: uid}
	if int(uid) == os.Geteuid() {
		a.gid = uint32(os.Getegid())
	}
	if u, err := user.LookupId(a.name); err == nil {
		a.name = u.Username
		if gid, err := strconv.ParseUint(u.Gid, 10, 32); err == nil {
			a.gid = uint32(gid)
		}
	}
	return a
}

// credential makes a child run as a, without our supplementary groups; nil when it runs as us anyway.
func (a account) credential() *syscall.Credential {
	if !privileged() {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own hands a path to the account. Only paths in folders of ours come here, so nobody can swap a link in between.
func (a account) own(path string) error {
	if !privileged() {
		return nil
	}
	if err := os.Lchown(path, int(a.uid), int(a.gid)); err != nil {
		return fmt.Errorf("give %s to user %s: %w", path, a.name, err)
	}
	return nil
}

// blockedAt is the first folder on the way to dir, dir included, that the account may not pass through; "" = none. It
// reads the mode bits alone: an ACL that says otherwise shows when postgres starts. dir has no links in it.
func (a account) blockedAt(dir string) string {
	if !privileged() {
		return "" // postgres sees what we see
	}
	at := "/"
	for name := range strings.SplitSeq(dir, "/") {
		at = filepath.Join(at, name)
		info, err := os.Stat(at)
		if err != nil {
			return at
		}
		st := info.Sys().(*syscall.Stat_t)
		bit := uint32(0o001)
		switch {
		case st.Uid == a.uid:
			bit = 0o100
		case st.Gid == a.gid:
			bit = 0o010
		}
		if st.Mode&bit == 0 {
			return at
		}
	}
	return ""
}

func (a account) cannotEnter(at, why string) error {
	return fmt.Errorf("postgres runs as user %s, which cannot enter %s: it must, %s; choose another folder, or: chmod o+x %s",
		a.name, at, why, at)
}
