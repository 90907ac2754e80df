package test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

const ada = `{"resourceType":"Patient","identifier":[{"system":"urn:mrn","value":"MRN-77"}],"name":[{"family":"Lovelace","given":["Ada","Augusta"]}],"gender":"female","birthDate":"1815-12-10"}`

func TestCreateReadUpdateDelete(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	made := a.Do(t, "POST", "/Patient", ada).Want(t, http.StatusCreated)
	id := made.ID(t)
	if got := made.Header.Get("ETag"); got != `W/"1"` {
		t.Errorf("ETag %s", got)
	}
	if got := made.Header.Get("Location"); got != a.Base+"/Patient/"+id+"/_history/1" {
		t.Errorf("Location %s", got)
	}
	read := a.Do(t, "GET", "/Patient/"+id, nil).Want(t, http.StatusOK)
	if string(read.Body) != string(made.Body) {
		t.Errorf("read %s, made %s", read.Body, made.Body)
	}
	changed := strings.Replace(string(read.Body), "Augusta", "King", 1)
	a.Do(t, "PUT", "/Patient/"+id, changed, "If-Match", `W/"7"`).Want(t, http.StatusPreconditionFailed)
	a.Do(t, "PUT", "/Patient/"+id, changed, "If-Match", `W/"1"`).Want(t, http.StatusOK)
	if got := a.Do(t, "GET", "/Patient/"+id+"/_history/1", nil).Want(t, http.StatusOK); !strings.Contains(string(got.Body), "Augusta") {
		t.Error("version 1 is not the first state")
	}
	a.Do(t, "DELETE", "/Patient/"+id, nil).Want(t, http.StatusNoContent)
	a.Do(t, "DELETE", "/Patient/"+id, nil).Want(t, http.StatusNoContent)
	a.Do(t, "GET", "/Patient/"+id, nil).Want(t, http.StatusGone)
	a.Do(t, "GET", "/Patient/"+id+"/_history/3", nil).Want(t, http.StatusGone)
	if n := len(a.Do(t, "GET", "/Patient/"+id+"/_history", nil).Want(t, http.StatusOK).JSON(t)["entry"].([]any)); n != 3 {
		t.Errorf("%d versions, want 3", n)
	}
	if got := a.Do(t, "GET", "/Patient?name=love", nil).Want(t, http.StatusOK).Matches(t); len(got) != 0 {
		t.Errorf("a deleted resource is found: %v", got)
	}
	a.Do(t, "PUT", "/Patient/"+id, changed).Want(t, http.StatusCreated) // back to life, as version 4
	if got := a.Do(t, "GET", "/Patient?name=love&birthdate=lt1900&gender=female&identifier=urn:mrn|MRN-77", nil).Want(t, http.StatusOK).Matches(t); len(got) != 1 {
		t.Errorf("found %v", got)
	}
}

func TestUpdateAsCreate(t *testing.T) {
	t.Parallel()
	a := cordontest.Shared(t).Tenant(t)
	body := strings.Replace(ada, `"Patient",`, `"Patient","id":"my-own.id",`, 1)
	a.Do(t, "PUT", "/Patient/my-own.id", body).Want(t, http.StatusCreated)
	a.Do(t, "PUT", "/Patient/my-own.id", body).Want(t, http.StatusOK)
	a.Do(t, "PUT", "/Patient/other", body).Want(t, http.StatusBadRequest)
}
