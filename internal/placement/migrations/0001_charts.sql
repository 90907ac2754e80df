-- +goose Up
-- The chart database of a cell (docs/adr/0002). Every key starts with the tenant's cell-local number; every table forces row
-- security with a bare current_setting policy: without a tenant set, any touch is an error.
CREATE TABLE head (                          -- the current state of a resource, thin and updated in place (HOT)
  rid    int8 NOT NULL,                      -- blind id: keyed hash of type and id
  pat    int8 NOT NULL,                      -- blind id of the compartment's patient, 0 if none
  sort   int8 NOT NULL,                      -- shifted primary clinical time
  tenant int4 NOT NULL,
  ver    int4 NOT NULL,
  type   int2 NOT NULL,
  live   bool NOT NULL,
  CONSTRAINT head_pkey PRIMARY KEY (tenant, rid)
) WITH (fillfactor = 85);
-- Two ordered lists of what is live: a patient's, and a type's. To the planner, which knows nothing of blind ids, they look equally
-- good for a patient's list; walking the type's list for it is a thousand times the work. So each is a partial index, and only
-- statements that mean it repeat its predicate.
CREATE INDEX head_comp ON head (tenant, pat, type, sort, rid) WHERE live AND pat <> 0;
CREATE INDEX head_type ON head (tenant, type, sort, rid) WHERE live AND type > 0;

CREATE TABLE version (                       -- every stored state of every resource, append-only
  rid    int8 NOT NULL,
  lu     int8 NOT NULL,                      -- meta.lastUpdated, Unix microseconds
  xid    xid8 NOT NULL DEFAULT pg_current_xact_id(), -- orders the feed of changes: (xid, rid, ver)
  tenant int4 NOT NULL,
  ver    int4 NOT NULL,
  keyver int4 NOT NULL,
  type   int2 NOT NULL,
  op     int2 NOT NULL,                      -- 1 create, 2 update, 3 delete
  body   bytea NOT NULL,                     -- compressed, then sealed
  CONSTRAINT version_pkey PRIMARY KEY (tenant, rid, ver),
  CONSTRAINT version_op CHECK (op BETWEEN 1 AND 3)
);
ALTER TABLE version ALTER body SET STORAGE EXTERNAL;
CREATE INDEX version_lu ON version (tenant, type, lu, rid) INCLUDE (ver, op);

CREATE TABLE idx (                           -- postings: everything that is equality
  token  int8 NOT NULL,
  sort   int8 NOT NULL,
  rid    int8 NOT NULL,
  tenant int4 NOT NULL
);
CREATE INDEX idx_i ON idx (tenant, token, sort, rid);

CREATE TABLE ref (                           -- references, to what they point at
  dst    int8 NOT NULL,
  sort   int8 NOT NULL,
  rid    int8 NOT NULL,
  tenant int4 NOT NULL,
  param  int4 NOT NULL                       -- resource type and parameter; 0 = further patient compartments
);
CREATE INDEX ref_i ON ref (tenant, param, dst, sort, rid);

CREATE TABLE range (                         -- shifted dates and numbers
  lo     int8 NOT NULL,
  hi     int8 NOT NULL,
  rid    int8 NOT NULL,
  tenant int4 NOT NULL,
  param  int4 NOT NULL
);
CREATE INDEX range_r ON range (tenant, param, rid, lo, hi); -- a range is probed for one resource, never walked

CREATE TABLE audit (                         -- what happened; rows are only ever added
  id       uuid NOT NULL,
  recorded int8 NOT NULL,                    -- Unix nanoseconds
  patient  int8 NOT NULL,                    -- blind id of the patient, 0 if none
  xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
  tenant   int4 NOT NULL,
  keyver   int4 NOT NULL,
  body     bytea NOT NULL,
  CONSTRAINT audit_pkey PRIMARY KEY (tenant, id)
);
ALTER TABLE audit ALTER body SET STORAGE EXTERNAL;

-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['head', 'version', 'idx', 'ref', 'range', 'audit'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenant_isolation ON %I USING (tenant = current_setting(''app.tenant'')::int4) WITH CHECK (tenant = current_setting(''app.tenant'')::int4)', t);
  END LOOP;
END $$;
-- +goose StatementEnd

-- The cell's role: it adds versions and events and never changes them.
GRANT SELECT, INSERT ON head, version, idx, ref, range, audit TO cordon_cell;
GRANT UPDATE (pat, sort, ver, live) ON head TO cordon_cell;
GRANT DELETE ON idx, ref, range TO cordon_cell;

-- Postings are written once and probed by index; their planner statistics say nothing useful about blind tokens.
ALTER TABLE idx SET (autovacuum_vacuum_insert_scale_factor = 0.4, autovacuum_analyze_scale_factor = 0.5);

-- +goose Down
DROP TABLE audit, range, ref, idx, version, head;
