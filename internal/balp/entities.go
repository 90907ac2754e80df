package balp

import (
	"strconv"

	"github.com/cordon-ehr/cordon/internal/audit"
)

var (
	person1 = coding{sysEntity, "1", "Person"}
	object2 = coding{sysEntity, "2", "System Object"}
	other4  = coding{sysEntity, "4", "Other"}
	domain4 = coding{sysRole, "4", "Domain Resource"}
)

// entities gives what was touched. BALP tells its slices apart by the entity's type, and takes one of type 2 in a read and a write (the
// resource) and in a search (the query): what is neither is of type 4.
func entities(e audit.Event) (out []entity) {
	if p := e.Patient.Reveal(); p != "" {
		who := entity{What: &reference{Reference: p}, Type: &person1, Role: &coding{sysRole, "1", "Patient"}}
		if e.Entity.Count > 0 {
			who.Detail = []detail{{"resources", strconv.Itoa(e.Entity.Count)}}
		}
		out = append(out, who)
	}
	if query := queryText(e); query != "" {
		out = append(out, entity{Type: &object2, Role: &coding{sysRole, "24", "Query"}, Query: []byte(query)})
	} else if what := data(e); what != nil {
		out = append(out, *what)
	}
	for _, r := range e.Resources {
		out = append(out, entity{What: &reference{Reference: r.Reveal()}, Type: &object2, Role: &domain4})
	}
	if e.Request != "" {
		out = append(out, entity{What: &reference{Identifier: &identifier{Value: e.Request}}, Type: &coding{sysBALP, "XrequestId", ""}})
	}
	if d := decision(e); len(d) > 0 {
		out = append(out, entity{Type: &other4, Role: &coding{sysRole, "13", "Security Resource"}, Name: "decision", Detail: d})
	}
	if d := changed(e); len(d) > 0 {
		out = append(out, entity{Type: &other4, Name: "change", Detail: d})
	}
	return out
}

// queryText is the raw search as it was asked: type and parameters.
func queryText(e audit.Event) string {
	switch {
	case e.Subtype == "search-type" && e.Entity.Type != "":
		return e.Entity.Type + "?" + e.Query.Reveal()
	case e.Subtype == "search-type":
		return "?" + e.Query.Reveal()
	}
	return e.Query.Reveal()
}

// data is the one thing that the event is about.
func data(e audit.Event) *entity {
	id := e.Entity.ID.Reveal()
	switch {
	case e.Entity.Type == "":
		return nil
	case e.Type != "rest" && e.Type != "audit": // a client, a tenant, a key: no resource
		if id == "" {
			return nil
		}
		return &entity{What: &reference{Identifier: &identifier{Value: id}}, Type: &object2, Role: &coding{sysRole, "13", "Security Resource"}, Name: e.Entity.Type}
	case id == "":
		return &entity{What: &reference{Display: e.Entity.Type}, Type: &object2, Role: &domain4}
	}
	ref := e.Entity.Type + "/" + id
	if e.Entity.Version > 0 {
		ref += "/_history/" + strconv.FormatInt(e.Entity.Version, 10)
	}
	return &entity{What: &reference{Reference: ref}, Type: &object2, Role: &domain4}
}

func decision(e audit.Event) (out []detail) {
	if e.Decision.Policy == "" {
		return nil
	}
	said := "deny"
	if e.Decision.Allow {
		said = "permit"
	}
	out = []detail{{"policy", e.Decision.Policy}, {"decision", said}}
	if e.Decision.Reason != "" {
		out = append(out, detail{"reason", e.Decision.Reason})
	}
	return out
}

// changed gives what was before and after: versions of a resource, states of anything else.
func changed(e audit.Event) (out []detail) {
	if e.Entity.Previous > 0 {
		out = append(out, detail{"previous-version", strconv.FormatInt(e.Entity.Previous, 10)})
	}
	if e.Before != "" {
		out = append(out, detail{"before", e.Before})
	}
	if e.After != "" {
		out = append(out, detail{"after", e.After})
	}
	return out
}
