// Package ocsf shows audit events in the Open Cybersecurity Schema (OCSF 1.3), for a SIEM: requests as API Activity, tokens as
// Authentication, clients as Account Change, tenants and keys as Entity Management. It is pure. It shows what it is given: what could
// be of a patient was taken out before (audit.Event.Minimal).
package ocsf

import (
	"encoding/json"

	"github.com/cordon-ehr/cordon/internal/audit"
)

// The classes, with their categories.
var (
	apiActivity = class{6003, "API Activity", 6, "Application Activity"}
	login       = class{3002, "Authentication", 3, "Identity & Access Management"}
	account     = class{3001, "Account Change", 3, "Identity & Access Management"}
	entityMgmt  = class{3004, "Entity Management", 3, "Identity & Access Management"}
)

type class struct {
	uid      int
	name     string
	category int
	in       string
}

type event struct {
	ClassUID    int            `json:"class_uid"`
	ClassName   string         `json:"class_name"`
	CategoryUID int            `json:"category_uid"`
	Category    string         `json:"category_name"`
	ActivityID  int            `json:"activity_id"`
	Activity    string         `json:"activity_name"`
	TypeUID     int            `json:"type_uid"`
	Time        int64          `json:"time"` // Unix milliseconds
	SeverityID  int            `json:"severity_id"`
	StatusID    int            `json:"status_id"`
	Status      string         `json:"status"`
	Detail      string         `json:"status_detail,omitempty"`
	Metadata    metadata       `json:"metadata"`
	Actor       *actor         `json:"actor,omitempty"`
	API         *api           `json:"api,omitempty"`
	Source      *endpoint      `json:"src_endpoint,omitempty"`
	User        *user          `json:"user,omitempty"`
	Service     *named         `json:"service,omitempty"`
	Entity      *entity        `json:"entity,omitempty"`
	Resources   []resource     `json:"resources,omitempty"`
	Unmapped    map[string]any `json:"unmapped,omitempty"`
}

type metadata struct {
	Version     string  `json:"version"`
	Product     product `json:"product"`
	UID         string  `json:"uid"`
	TenantUID   string  `json:"tenant_uid,omitempty"`
	LogName     string  `json:"log_name"`
	Correlation string  `json:"correlation_uid,omitempty"`
}

type product struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type actor struct {
	User    *user    `json:"user,omitempty"`
	Session *session `json:"session,omitempty"`
	App     string   `json:"app_uid,omitempty"`
}

type session struct {
	UID string `json:"uid"`
}

type user struct {
	UID    string `json:"uid,omitempty"`
	Name   string `json:"name,omitempty"`
	Type   string `json:"type"`
	TypeID int    `json:"type_id"` // 1 user, 2 admin, 3 system, 99 other
}

type named struct {
	Name string `json:"name"`
}

type api struct {
	Operation string `json:"operation"`
	Service   named  `json:"service"`
}

type endpoint struct {
	IP   string `json:"ip,omitempty"`
	Name string `json:"name,omitempty"`
}

type entity struct {
	UID  string `json:"uid,omitempty"`
	Type string `json:"type"`
	Name string `json:"name,omitempty"`
}

type resource struct {
	UID  string `json:"uid,omitempty"`
	Type string `json:"type"`
}

// Render gives the OCSF event of an event, one line of JSON.
func Render(e audit.Event) []byte {
	c := classOf(e)
	id, name := activity(c, e)
	out := event{ClassUID: c.uid, ClassName: c.name, CategoryUID: c.category, Category: c.in, ActivityID: id, Activity: name, TypeUID: c.uid*100 + id,
		Time: e.Recorded.UnixMilli(), SeverityID: severity(e), StatusID: 1, Status: "Success",
		Metadata: metadata{Version: "1.3.0", Product: product{"Cordon", "Cordon"}, UID: e.ID.String(), LogName: e.Source.Role, Correlation: e.Request},
		Unmapped: unmapped(e)}
	if e.Outcome != audit.Success {
		out.StatusID, out.Status, out.Detail = 2, "Failure", e.OutcomeDesc
	}
	if !e.Tenant.IsZero() {
		out.Metadata.TenantUID = e.Tenant.String()
	}
	who := agent(e)
	out.Actor = &actor{User: who, App: e.Agent.Client}
	if e.Agent.TokenID != "" {
		out.Actor.Session = &session{e.Agent.TokenID}
	}
	out.Source = &endpoint{IP: e.Agent.Address}
	if e.Agent.Address == "" {
		out.Source.Name = e.Source.Role
	}
	switch c {
	case apiActivity:
		out.API = &api{Operation: e.Type + "-" + e.Subtype, Service: named{"Cordon " + e.Source.Role}}
		if e.Entity.Type != "" {
			out.Resources = append(out.Resources, resource{Type: e.Entity.Type})
		}
		if e.Patient != "" {
			out.Resources = append(out.Resources, resource{UID: e.Patient.Reveal(), Type: "Patient"})
		}
	case login:
		out.User, out.Service = who, &named{"token endpoint"}
	case account:
		out.User = &user{UID: e.Entity.ID.Reveal(), Type: "System", TypeID: 3}
	case entityMgmt:
		out.Entity = &entity{UID: e.Tenant.String(), Type: e.Type, Name: e.Subtype}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic("ocsf: internal error: an event is always JSON: " + err.Error())
	}
	return b
}

func classOf(e audit.Event) class {
	switch e.Type {
	case "token":
		return login
	case "client":
		return account
	case "tenant", "key":
		return entityMgmt
	}
	return apiActivity
}

// activity gives the class's code for what was done; 99 is other, named by its own word.
func activity(c class, e audit.Event) (int, string) {
	if c == login {
		return 1, "Logon"
	}
	switch e.Action {
	case audit.Create:
		return 1, "Create"
	case audit.Read:
		if c != account {
			return 2, "Read"
		}
	case audit.Update:
		if c != account {
			return 3, "Update"
		}
	case audit.Delete:
		if c == account {
			return 6, "Delete"
		}
		return 4, "Delete"
	case audit.Execute:
		if c == apiActivity && (e.Subtype == "search-type" || e.Subtype == "everything") {
			return 2, "Read"
		}
	}
	return 99, e.Subtype
}

// severity is informational for what went well, medium for a refusal, high for our own failures and alerts.
func severity(e audit.Event) int {
	switch {
	case e.Outcome == audit.SeriousFail || e.Type == "security":
		return 4
	case e.Outcome != audit.Success:
		return 3
	}
	return 1
}

func agent(e audit.Event) *user {
	u := &user{UID: e.Agent.ID, Type: e.Agent.Kind, TypeID: 99}
	switch e.Agent.Kind {
	case "user":
		u.Type, u.TypeID = "User", 1
	case "operator":
		u.Type, u.TypeID = "Admin", 2
	case "client", "service":
		u.Type, u.TypeID = "System", 3
	case audit.Anonymous:
		u.Name = "anonymous"
	}
	return u
}

// unmapped keeps what OCSF has no place for.
func unmapped(e audit.Event) map[string]any {
	out := map[string]any{"decision": map[string]any{"allow": e.Decision.Allow, "policy": e.Decision.Policy, "reason": e.Decision.Reason}}
	for k, v := range map[string]string{"purpose": e.Purpose, "before": e.Before, "after": e.After, "site": e.Source.Site, "user_agent_hash": e.Agent.UserHash} {
		if v != "" {
			out[k] = v
		}
	}
	if e.Entity.Count > 0 {
		out["resources"] = e.Entity.Count
	}
	return out
}
