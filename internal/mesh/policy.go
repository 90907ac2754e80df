package mesh

import (
	"slices"
	"strings"
)

// Version names this policy in every decision on record.
const Version = "mesh/1"

// rule is who may call a method, and whether a call whose connection broke before an answer may be made again.
type rule struct {
	callers []string
	again   bool
}

// policy is the whole of what roles may do to each other. What is not here may be done by nobody.
func policy() map[string]rule {
	return map[string]rule{
		"cell.Forward": {callers: []string{Edge}},
		"cell.Prepare": {callers: []string{Control}, again: true},
		"cell.Probe":   {callers: []string{Control}, again: true},
		"cell.Events":  {callers: []string{Control}},

		"control.Pull":     {callers: []string{Edge, Cell}, again: true},
		"control.Record":   {callers: []string{Edge, Cell}, again: true}, // an event has an id, and is recorded once
		"control.Tenant":   {callers: []string{Edge}},
		"control.Operator": {callers: []string{Edge}},

		"keys.Lease":      {callers: []string{Cell}, again: true},
		"keys.Mint":       {callers: []string{Control}, again: true},
		"keys.PublicKeys": {callers: []string{Control}, again: true},
		"keys.Sign":       {callers: []string{Control}, again: true},
		"keys.Events":     {callers: []string{Control}},

		"keys.Disable":        {callers: []string{Control}, again: true},
		"keys.Enable":         {callers: []string{Control}, again: true},
		"keys.Rotate":         {callers: []string{Control}}, // twice is two versions
		"keys.Activate":       {callers: []string{Control}, again: true},
		"keys.Keyring":        {callers: []string{Control}, again: true},
		"keys.Stops":          {callers: []string{Control}, again: true},
		"keys.ResumeIdentity": {callers: []string{Control}},

		sessionMethod: {callers: []string{Edge}},
	}
}

// Methods lists what one role offers, by name.
func Methods(role string) (out []string) {
	for name := range policy() {
		if strings.HasPrefix(name, role+".") {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
