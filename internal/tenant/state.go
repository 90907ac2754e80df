package tenant

import (
	"slices"

	"github.com/cordon-ehr/cordon/internal/fault"
)

// State is where a tenant is in its life.
//
//	requested → provisioning → active ⇄ suspended → offboarding → archived → destroyed
//	                             ⇅
//	                           moving
type State string

// The states.
const (
	Requested    State = "requested"
	Provisioning State = "provisioning"
	Active       State = "active"
	Suspended    State = "suspended"
	Moving       State = "moving"
	Offboarding  State = "offboarding"
	Archived     State = "archived"
	Destroyed    State = "destroyed"
)

var next = map[State][]State{
	Requested:    {Provisioning},
	Provisioning: {Active},
	Active:       {Suspended, Moving, Offboarding},
	Suspended:    {Active, Offboarding},
	Moving:       {Active},
	Offboarding:  {Archived, Suspended},
	Archived:     {Destroyed},
}

// Transition is the one place that decides whether a tenant may go from one state to another. Staying is allowed, so
// that a repeated command makes no difference.
func Transition(from, to State) error {
	if from == to {
		return nil
	}
	if slices.Contains(next[from], to) {
		return nil
	}
	return fault.New(fault.Conflict, "a tenant that is %s cannot become %s", from, to)
}

// KeysDisabled is the one answer to everyone who is of a tenant whose keys are disabled.
func KeysDisabled() error {
	return fault.New(fault.Locked, "the tenant's keys are disabled: nothing of it can be read or written until an operator enables them")
}

// Serves reports whether charts of a tenant in this state may be read, and whether they may be written.
func (s State) Serves() (reads, writes bool) {
	switch s {
	case Active:
		return true, true
	case Moving:
		return true, false
	}
	return false, false
}
