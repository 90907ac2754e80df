package platform

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/cordon-ehr/cordon/internal/mesh"
	"github.com/cordon-ehr/cordon/internal/wire"
)

// Roles are the roles of one process, in the order in which they are built.
type Roles []string

// AllRoles are the whole platform.
func AllRoles() Roles { return Roles{mesh.Keys, mesh.Control, mesh.Cell, mesh.Edge} }

// ParseRoles reads a list such as "edge,cell"; "" is all.
func ParseRoles(s string) (Roles, error) {
	if s == "" {
		return AllRoles(), nil
	}
	asked := strings.Split(s, ",")
	var out Roles
	for _, r := range AllRoles() {
		if slices.Contains(asked, r) {
			out = append(out, r)
		}
	}
	if len(out) != len(asked) {
		return nil, fmt.Errorf("a role is one of edge, cell, keys, control, each named once")
	}
	return out, nil
}

// Has reports whether a role is of this process.
func (r Roles) Has(role string) bool { return slices.Contains(r, role) }

// Mesh is how the roles of this process meet those of others. It may be empty when all are here.
type Mesh struct {
	Domain string // trust domain; "" = cordon.internal
	Roles  map[string]Member
	Peers  Peers
}

// Member is one role of this process as others meet it.
type Member struct {
	Source   mesh.Source  // its certificate
	Listener net.Listener // where the others call it; nil for the edge, which nobody calls
}

// Peers are the addresses (https://host:port) of roles that are elsewhere.
type Peers struct {
	Keys    string
	Control string
	Cells   map[string]string // by name
}

// member is one role of this process on the mesh.
type member struct {
	self    mesh.Identity
	server  *mesh.Server
	journal *mesh.Journal
	rec     mesh.Recorder
	Member
}

// join makes the members of this process, with no methods yet.
func (p *Platform) join() error {
	counters := p.Metrics.Mesh()
	for _, role := range p.cfg.Roles {
		m := &member{Member: p.cfg.Mesh.Roles[role], self: mesh.Identity{Domain: p.cfg.Mesh.Domain, Role: role}}
		if role == mesh.Cell {
			m.self.Name = p.cfg.Cell.Name
		}
		if m.Source != nil {
			now, err := m.Source.Current()
			if err != nil {
				return fmt.Errorf("read the service certificate of the %s role: %w", role, err)
			}
			if now.Identity.Role != role || (role == mesh.Cell && now.Identity.Name != m.self.Name) || now.Identity.Domain != m.self.Domain {
				return fmt.Errorf("the service certificate of the %s role is of %s", role, now.Identity)
			}
			m.self = now.Identity
		}
		m.journal = mesh.NewJournal(m.self, counters, p.log)
		m.server = mesh.NewServer(m.self, m.journal, p.log)
		p.members[role] = m
	}
	return nil
}

// link is a role's way to another: within the process when it is here, else to its address.
func (p *Platform) link(from, to, name, address string) (*mesh.Link, error) {
	m := p.members[from]
	if at := p.members[to]; at != nil && (to != mesh.Cell || at.self.Name == name) {
		return mesh.Local(m.self, at.server), nil
	}
	if m.Source == nil {
		return nil, fmt.Errorf("the %s role is not in this process, and the %s role has no service certificate to reach it", to, from)
	}
	return mesh.Remote(m.self, mesh.Identity{Domain: m.self.Domain, Role: to, Name: name}, address, m.Source, m.journal, p.log.With(slog.String("role", from)))
}

func (p *Platform) toKeys(from string) (*wire.Keys, error) {
	l, err := p.link(from, mesh.Keys, "", p.cfg.Mesh.Peers.Keys)
	return wire.NewKeys(l), err
}

func (p *Platform) toControl(from string) (*wire.Control, error) {
	l, err := p.link(from, mesh.Control, "", p.cfg.Mesh.Peers.Control)
	return wire.NewControl(l), err
}

func (p *Platform) toCell(from, name string) (*wire.Cell, error) {
	l, err := p.link(from, mesh.Cell, name, p.cfg.Mesh.Peers.Cells[name])
	return wire.NewCell(name, l), err
}

// toCells is the way to every cell that is known here.
func (p *Platform) toCells(from string) (*wire.Cells, error) {
	links := map[string]*mesh.Link{}
	names := []string{}
	for name := range p.cfg.Mesh.Peers.Cells {
		names = append(names, name)
	}
	if c := p.members[mesh.Cell]; c != nil && !slices.Contains(names, c.self.Name) {
		names = append(names, c.self.Name)
	}
	for _, name := range names {
		l, err := p.link(from, mesh.Cell, name, p.cfg.Mesh.Peers.Cells[name])
		if err != nil {
			return nil, err
		}
		links[name] = l
	}
	return wire.NewCells(links), nil
}
