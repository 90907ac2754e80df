package test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/cordon-ehr/cordon/internal/cordontest"
)

// TestSequencerTakesEveryRowOnce writes events in many transactions of random length that commit out of order, as the cell's role,
// while the platform sequences: no row is skipped, none is taken twice. (Rows that no cell sealed are forged, and nothing else.)
func TestSequencerTakesEveryRowOnce(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n := charted(t, p)
	tenant := number(t, n)
	var wait sync.WaitGroup
	var mu sync.Mutex // guards made
	made := 0
	for range 6 {
		c := p.Cell(t)
		wait.Go(func() {
			for range 25 {
				tx, err := c.Begin(t.Context())
				if err == nil {
					_, err = tx.Exec(t.Context(), fmt.Sprintf("SET LOCAL app.tenant = '%d'", tenant))
				}
				rows := 1 + rand.IntN(4)
				for range rows {
					if err == nil {
						_, err = tx.Exec(t.Context(), `INSERT INTO audit (id, recorded, patient, tenant, keyver, body) VALUES ($1, 1, 0, $2, 1, '\x00')`, uuid.New(), tenant)
					}
					if err == nil {
						_, err = tx.Exec(t.Context(), "SELECT pg_sleep(random() * 0.03)")
					}
				}
				end := tx.Commit
				if rand.IntN(5) == 0 {
					end, rows = tx.Rollback, 0
				}
				if err == nil {
					err = end(t.Context())
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				made += rows
				mu.Unlock()
			}
		})
	}
	wait.Go(func() {
		for range 60 { // reads make the sequencer look
			n.Do(t, http.MethodGet, "/Patient/none", nil)
		}
	})
	wait.Wait()
	v := verifyLogs(t, p, n.Slug)
	forged := 0
	for _, x := range v.Problems {
		if x.Kind != "forged" {
			t.Errorf("%+v", x)
		}
		forged++
	}
	size := v.Logs[0].Size
	var rows int64
	if err := p.Superuser(t).QueryRow(t.Context(), "SELECT count(*) FROM audit WHERE tenant = $1", tenant).Scan(&rows); err != nil {
		t.Fatal(err)
	}
	if forged != min(made, 50) || size != rows {
		t.Errorf("%d rows were forged, %d named; %d rows, %d in the log", made, forged, rows, size)
	}
}

// TestKilledSequencerResumes kills the process again and again while it works: the log is whole, and ahead of nothing.
func TestKilledSequencerResumes(t *testing.T) {
	t.Parallel()
	dir := cordontest.DevDir(t)
	d := cordontest.StartDev(t, dir)
	n := d.Tenant(t)
	id := n.Do(t, http.MethodPost, "/Patient", ada).Want(t, http.StatusCreated).ID(t)
	last := int64(0)
	for round := range 4 {
		for range 5 + 10*round {
			n.Do(t, http.MethodGet, "/Patient/"+id, nil).Want(t, http.StatusOK)
		}
		d.Kill()
		d = cordontest.StartDev(t, dir)
		n.Move(t, d.Platform)
		v := verifyLogs(t, d.Platform, n.Slug)
		if !v.OK || v.Size <= last {
			t.Fatalf("round %d: %+v", round, v)
		}
		last = v.Size
	}
	if own := verifyLogs(t, d.Platform, ""); !own.OK {
		t.Errorf("the platform's own: %+v", own)
	}
}

// TestSequencedSoon finds an event in its log within seconds of its commit, without anybody asking for it.
func TestSequencedSoon(t *testing.T) {
	t.Parallel()
	p := cordontest.Own(t)
	n := charted(t, p)
	su, of := p.Superuser(t), number(t, n)
	cordontest.Eventually(t, "every event of the tenant is in its log", func() bool {
		var behind int64
		err := su.QueryRow(t.Context(), "SELECT (SELECT count(*) FROM audit WHERE tenant = $1) - coalesce((SELECT least(size, cosigned) FROM ledger_head WHERE tenant = $1), 0)", of).Scan(&behind)
		return err == nil && behind == 0
	})
	if r := p.Send(t, http.MethodGet, p.Info.Management+"/readyz", nil, nil); string(r.Body) != "ready\n" {
		t.Errorf("%d %s", r.Status, r.Body)
	}
	if _, err := su.Exec(t.Context(), "DELETE FROM audit WHERE tenant = $1", of); err != nil {
		t.Fatal(err)
	}
	n.Do(t, http.MethodGet, "/Patient/none", nil)
	control := p.SuperuserOn(t, "cordon_control")
	cordontest.Eventually(t, "readiness, the metric and an event name the log that was cut", func() bool {
		ready := string(p.Send(t, http.MethodGet, p.Info.Management+"/readyz", nil, nil).Body)
		metrics := p.Metrics(t)
		var alerts int
		err := control.QueryRow(t.Context(), `SELECT count(*) FROM audit WHERE tenant = $1::uuid AND convert_from(body, 'UTF8')::jsonb->>'subtype' = 'ledger-alert'`, n.ID).Scan(&alerts)
		return err == nil && alerts > 0 && ready == "ready\nlog cordon/"+n.ID+"/cell is stopped: tail cut\n" && strings.Contains(metrics, "cordon_ledger_alerts_total{kind=\"tail cut\",stream=\"cell\"} 1\n")
	})
}
