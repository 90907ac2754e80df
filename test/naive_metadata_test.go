package test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestMetadataIsTrue asks for everything that the CapabilityStatement states: each search parameter, include and reverse
// include of each type, and the interactions. What it does not state is refused.
func TestMetadataIsTrue(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	rest := a.Do(t, "GET", "/metadata", nil).Want(t, http.StatusOK).JSON(t)["rest"].([]any)[0].(map[string]any)
	all := rest["resource"].([]any)
	params := 0
	for _, r := range all {
		m := r.(map[string]any)
		typ := str(m["type"])
		var stated []string
		q := url.Values{}
		for _, p := range m["searchParam"].([]any) {
			name, kind := str(p.(map[string]any)["name"]), str(p.(map[string]any)["type"])
			stated = append(stated, name)
			q.Add(name, map[string]string{"token": "a", "string": "a", "reference": "a", "date": "ge2020", "number": "1", "quantity": "1", "uri": "urn:a"}[kind])
			params++
		}
		a.Do(t, "GET", "/"+typ+"?"+q.Encode(), nil).Want(t, http.StatusOK)
		for name, list := range map[string][]string{"_include": strs(m["searchInclude"]), "_revinclude": strs(m["searchRevInclude"])} {
			for some := range slices.Chunk(list, 20) { // as many as one request may have (docs/limits.md)
				a.Do(t, "GET", "/"+typ+"?"+url.Values{name: some}.Encode(), nil).Want(t, http.StatusOK)
			}
		}
		for code := range naiveParams[typ] {
			if !slices.Contains(stated, code) {
				t.Errorf("%s: %s is not stated", typ, code)
			}
		}
		for _, unknown := range []string{"nope=1", "_id:above=a", "_include:iterate=*", "_has:Observation:patient:code=a"} {
			a.Do(t, "GET", "/"+typ+"?"+unknown, nil).Want(t, http.StatusBadRequest)
		}
	}
	t.Logf("%d types, %d parameters", len(all), params)
}

// TestMetadataInteractions does what the statement says of versions and conditional creates.
func TestMetadataInteractions(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	rest := a.Do(t, "GET", "/metadata", nil).JSON(t)["rest"].([]any)[0].(map[string]any)
	at := slices.IndexFunc(rest["resource"].([]any), func(r any) bool { return r.(map[string]any)["type"] == "Patient" })
	m := rest["resource"].([]any)[at].(map[string]any)
	body := `{"resourceType":"Patient","id":"m1","identifier":[{"system":"urn:m","value":"1"}]}`
	created := a.Do(t, "PUT", "/Patient/m1", body)
	if m["updateCreate"] != (created.Status == http.StatusCreated) {
		t.Errorf("updateCreate is %v, a PUT of a new id gives %d", m["updateCreate"], created.Status)
	}
	// versioned-update means that an update must name the version it replaces (R4 valueset-versioning-policy).
	free := a.Do(t, "PUT", "/Patient/m1", body)
	if m["versioning"] != "versioned" || free.Status != http.StatusOK {
		t.Errorf("versioning is %v, an update without If-Match gives %d", m["versioning"], free.Status)
	}
	again := a.Do(t, "POST", "/Patient", strings.Replace(body, `"id":"m1",`, "", 1), "If-None-Exist", "identifier=urn:m|1")
	if m["conditionalCreate"] != (again.Status == http.StatusOK) {
		t.Errorf("conditionalCreate is %v, a create whose condition matches gives %d", m["conditionalCreate"], again.Status)
	}
	for _, i := range m["interaction"].([]any) {
		method, path := http.MethodGet, "/Patient"
		switch code := str(i.(map[string]any)["code"]); code {
		case "read":
			path = "/Patient/m1"
		case "vread":
			path = "/Patient/m1/_history/1"
		case "history-instance":
			path = "/Patient/m1/_history"
		case "search-type":
		case "create", "update", "delete": // above, and in crud_test.go
			continue
		default:
			t.Errorf("interaction %s is stated and not tried here", code)
		}
		a.Do(t, method, path, nil).Want(t, http.StatusOK)
	}
}

func strs(v any) (out []string) {
	list, _ := v.([]any)
	for _, e := range list {
		out = append(out, str(e))
	}
	return out
}
