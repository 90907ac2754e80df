package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/cordon-ehr/cordon/internal/pgserver"
)

// raw is Postgres alone: the same server, the same disk, nothing of ours in between.
type raw struct {
	pool *pgxpool.Pool
	dsn  string
	bin  string
	rows []bundleRows
}

// bundleRows are the rows that one Bundle became, as arrays for unnest.
type bundleRows struct {
	statements []statement
}

type statement struct {
	sql  string
	args []any
}

func newRaw(ctx context.Context, s *server, d *dataset) (*raw, error) {
	bin, _, err := pgserver.Find("")
	if err != nil {
		return nil, err
	}
	r := &raw{dsn: s.info.Postgres.Superuser, bin: bin}
	if r.pool, err = pgxpool.New(ctx, r.dsn); err != nil {
		return nil, err
	}
	if _, err := r.pool.Exec(ctx, `CREATE SCHEMA raw`); err != nil {
		return nil, err
	}
	for _, t := range []string{"head", "version", "idx", "ref", "range"} {
		if _, err := r.pool.Exec(ctx, fmt.Sprintf(`CREATE TABLE raw.%[1]s (LIKE public.%[1]s INCLUDING ALL)`, pgx.Identifier{t}.Sanitize())); err != nil {
			return nil, err
		}
	}
	if err := r.collect(ctx, min(50, len(d.patients))); err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(bin, "pgbench"), "-i", "-q", "-s", "10", r.dsn).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("pgbench -i: %w: %s", err, out)
	}
	return r, nil
}

func (r *raw) close() { r.pool.Close() }

// collect reads back the rows of some patients' compartments: what their Bundles became.
func (r *raw) collect(ctx context.Context, patients int) error {
	rows, err := r.pool.Query(ctx, `SELECT pat FROM head WHERE pat <> 0 GROUP BY pat ORDER BY pat LIMIT $1`, patients)
	if err != nil {
		return err
	}
	pats, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return err
	}
	of := `FROM public.%s x WHERE x.rid IN (SELECT rid FROM head WHERE pat = $1)`
	for _, p := range pats {
		var b bundleRows
		for _, t := range []struct{ name, cols, types string }{
			{"version", "tenant, rid, lu, ver, keyver, type, op, body", "int4 int8 int8 int4 int4 int2 int2 bytea"},
			{"head", "tenant, rid, pat, sort, ver, type, live", "int4 int8 int8 int8 int4 int2 bool"},
			{"idx", "tenant, token, sort, rid", "int4 int8 int8 int8"},
			{"ref", "tenant, param, dst, sort, rid", "int4 int4 int8 int8 int8"},
			{"range", "tenant, param, lo, hi, rid", "int4 int4 int8 int8 int8"},
		} {
			st, err := r.statement(ctx, t.name, t.cols, t.types, of, p)
			if err != nil {
				return err
			}
			b.statements = append(b.statements, st)
		}
		r.rows = append(r.rows, b)
	}
	return nil
}

func (r *raw) statement(ctx context.Context, table, cols, types, of string, pat int64) (statement, error) {
	names, kinds := strings.Split(cols, ", "), strings.Fields(types)
	st := statement{}
	var params, sel []string
	for i, n := range names {
		var v any
		switch kinds[i] {
		case "int8":
			v = &[]int64{}
		case "int4":
			v = &[]int32{}
		case "int2":
			v = &[]int16{}
		case "bool":
			v = &[]bool{}
		default:
			v = &[][]byte{}
		}
		err := r.pool.QueryRow(ctx, fmt.Sprintf(`SELECT array_agg(x.%s ORDER BY x.ctid) `+of, n, pgx.Identifier{table}.Sanitize()), pat).Scan(v)
		if err != nil {
			return st, err
		}
		st.args = append(st.args, v)
		params = append(params, fmt.Sprintf("$%d::%s[]", i+1, kinds[i]))
		// Each round writes rows of its own: the first key column is moved by the round's number.
		if n == "rid" {
			sel = append(sel, fmt.Sprintf("u.c%d # $%d", i, len(names)+1))
		} else {
			sel = append(sel, fmt.Sprintf("u.c%d", i))
		}
	}
	alias := make([]string, len(names))
	for i := range names {
		alias[i] = fmt.Sprintf("c%d", i)
	}
	st.sql = fmt.Sprintf("INSERT INTO raw.%s (%s) SELECT %s FROM unnest(%s) AS u(%s)", pgx.Identifier{table}.Sanitize(), cols, strings.Join(sel, ", "),
		strings.Join(params, ", "), strings.Join(alias, ", "))
	return st, nil
}

var tps = regexp.MustCompile(`tps = ([0-9.]+) \(without`)

func (r *raw) operations() []operation {
	return []operation{
		{name: "raw: pgbench -S", workers: []int{1, 16}, whole: func(ctx context.Context, workers int, span time.Duration) (float64, error) {
			out, err := exec.CommandContext(ctx, filepath.Join(r.bin, "pgbench"), "-n", "-S", "-M", "prepared", "-c", strconv.Itoa(workers), "-j", "2",
				"-T", strconv.Itoa(max(1, int(span.Seconds()))), r.dsn).CombinedOutput()
			m := tps.FindSubmatch(out)
			if err != nil || m == nil {
				return 0, fmt.Errorf("pgbench: %w: %s", err, out)
			}
			return strconv.ParseFloat(string(m[1]), 64)
		}},
		{name: "raw: unnest insert", workers: []int{1, 4}, do: func(ctx context.Context, n int64) error {
			var b pgx.Batch
			for _, st := range r.rows[int(n)%len(r.rows)].statements {
				b.Queue(st.sql, append(append([]any(nil), st.args...), n<<16)...)
			}
			return r.pool.SendBatch(ctx, &b).Close()
		}},
	}
}
