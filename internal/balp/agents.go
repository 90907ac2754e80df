package balp

import (
	"strings"

	"github.com/cordon-ehr/cordon/internal/audit"
)

// agents gives who took part: the application that called, the person behind it when there is one, and the server.
func agents(e audit.Event, base string) []agent {
	client, server := roles(e)
	issuer := strings.TrimSuffix(base, "/fhir")
	caller := agent{Type: &concept{[]coding{client}}, Requestor: true}
	switch e.Agent.Kind {
	case "client", "user":
		app := e.Agent.Client
		if app == "" {
			app = e.Agent.ID
		}
		caller.Who = &reference{Identifier: &identifier{issuer, app}, Display: "client application"}
	case "operator":
		caller.Type = &concept{[]coding{{sysTake, "AUT", "author (originator)"}}}
		caller.Who = &reference{Identifier: &identifier{sysOperator, e.Agent.ID}, Display: "operator of the platform"}
	case audit.Anonymous:
		caller.Who = &reference{Display: "anonymous"}
		if e.Agent.Client != "" { // claimed, and not proven
			caller.Who = &reference{Display: "anonymous, claims to be a client application"}
		}
	default:
		caller.Who = &reference{Identifier: &identifier{"", e.Agent.ID}, Display: e.Agent.Kind}
	}
	if e.Agent.Address != "" {
		caller.Network = &network{e.Agent.Address, "2"}
	}
	if e.Subtype != "delete" { // BALP's Delete has no policy at its agents; the decision is an entity of every event
		caller.Policy = policies(e)
	}
	out := []agent{caller}
	if e.Agent.Kind == "user" {
		out[0].Requestor = false
		out = append(out, person(e, issuer))
	}
	return append(out, agent{Type: &concept{[]coding{server}}, Who: &reference{Identifier: &identifier{"urn:ietf:rfc:3986", base}, Display: "Cordon " + e.Source.Role},
		Network: &network{base, "5"}})
}

// person is the user on whose behalf an application called: recipient of what was read, author of what was written.
func person(e audit.Event, issuer string) agent {
	part := coding{sysTake, "IRCP", "information recipient"}
	if e.Action == audit.Create || e.Action == audit.Update || e.Action == audit.Delete {
		part = coding{sysTake, "AUT", "author (originator)"}
	}
	return agent{Type: &concept{[]coding{part}}, Who: &reference{Identifier: &identifier{issuer, e.Agent.ID}}, Requestor: true}
}

// roles gives the codes of client and server. They flip: who sends is the source. In a read that is the server; in a create and an
// update the client; in a query, too, because the parameters flow from it. A delete moves nothing (BALP, the notes at each
// profile).
func roles(e audit.Event) (client, server coding) {
	src, dst := coding{sysDCM, "110153", "Source Role ID"}, coding{sysDCM, "110152", "Destination Role ID"}
	switch e.Subtype {
	case "read", "vread", "history-instance":
		return dst, src
	case "delete":
		return coding{sysDCM, "110150", "Application"}, coding{sysCustody, "custodian", "Custodian"}
	}
	return src, dst
}

// policies names what authorized the act: the rule that decided, and the token by its id, never the token.
func policies(e audit.Event) (out []string) {
	if e.Decision.Policy != "" {
		out = append(out, "urn:cordon:policy:"+e.Decision.Policy)
	}
	if e.Agent.TokenID != "" {
		out = append(out, "urn:ietf:params:oauth:jti:"+e.Agent.TokenID)
	}
	return out
}

// observer is the part of the platform that recorded the event.
func observer(e audit.Event, base string) source {
	kind := map[string]coding{"edge": {sysSource, "3", "Web Server"}, "cell": {sysSource, "4", "Application Server"}}[e.Source.Role]
	if kind.Code == "" {
		kind = coding{sysSource, "6", "Security Server"}
	}
	site := e.Source.Site
	if site == "" {
		site = e.Source.Role
	}
	return source{Site: site, Observer: reference{Identifier: &identifier{"urn:ietf:rfc:3986", base}, Display: "Cordon " + e.Source.Role}, Type: []coding{kind}}
}
