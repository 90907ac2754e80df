package platform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"time"

	"github.com/cordon-ehr/cordon/internal/ledger"
	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/worm"
)

// Ledger configures the logs of events of this process's roles.
type Ledger struct {
	Store    worm.Store
	Keys     map[string]string // signing keys by role (ledger.NewKey): cell, control, keys
	Public   []string          // public keys of all three; may be empty when all roles are here
	Interval time.Duration     // how long events gather; 0 = a second
}

// roles gives each role of the process what it keeps its logs with.
func (l Ledger) roles(here Roles) (map[string]ledger.Role, error) {
	public := l.Public
	out := map[string]ledger.Role{}
	for _, role := range here {
		if role == mesh.Edge {
			continue // it observes by control
		}
		if l.Store == nil {
			return nil, errors.New("the audit ledger needs write-once storage")
		}
		s, err := ledger.ParseKey(l.Keys[role])
		if err != nil {
			return nil, fmt.Errorf("read the key of the logs of %s: %w", role, err)
		}
		out[role] = ledger.Role{Store: l.Store, Signing: s, Interval: l.Interval}
		if len(l.Public) == 0 {
			public = append(public, s.Public)
		}
	}
	if len(out) == 0 {
		return out, nil
	}
	all, err := ledger.ParseVerifiers(public...)
	if err == nil && len(all) != 3 {
		err = errors.New("the audit ledger needs the public keys of cell, control and keys")
	}
	for role, r := range out {
		r.Verifiers = all
		out[role] = r
	}
	return out, err
}

// openLedger opens write-once storage and reads the keys of events and logs.
func (f *File) openLedger(ctx context.Context, o *Opened) (err error) {
	if len(o.Roles) == 1 && o.Roles.Has(mesh.Edge) {
		return nil
	}
	if o.Ledger.Store, err = worm.Open(ctx, f.Worm); err != nil {
		return fmt.Errorf("open write-once storage: %w", err)
	}
	o.Ledger.Keys, o.Ledger.Public = map[string]string{}, f.LogPublic
	for role, file := range f.LogKeys {
		if !o.Roles.Has(role) {
			continue // a role's key is for its own process
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("read the key of the logs of %s: %w", role, err)
		}
		o.Ledger.Keys[role] = string(b)
	}
	for role, into := range map[string]*[]byte{mesh.Control: &o.Control.AuditKey, mesh.Keys: &o.Keys.AuditKey} {
		if !o.Roles.Has(role) {
			continue
		}
		if *into, err = os.ReadFile(f.AuditKeys[role]); err != nil {
			return fmt.Errorf("read the audit key of %s: %w", role, err)
		}
		if len(*into) < 32 {
			return fmt.Errorf("the audit key of %s is shorter than 32 bytes", role)
		}
	}
	return nil
}

// stoppedLogs names the logs of this process that cannot go on, and why.
func (p *Platform) stoppedLogs() map[string]string {
	out := map[string]string{}
	add := func(logs map[string]string) {
		maps.Copy(out, logs)
	}
	if p.broker != nil {
		add(p.broker.StoppedLogs())
	}
	if p.Control != nil {
		add(p.Control.StoppedLogs())
	}
	if p.cell != nil {
		add(p.cell.StoppedLogs())
	}
	return out
}
