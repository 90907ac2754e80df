-- +goose Up
-- Rows of events in the order of their log: by transaction, then id. What a log took up to pg_snapshot_xmin can have nothing slip
-- in before it (docs/adr/0009). Comparing xid8 is leak-proof, so the order is an index's under row security, too.
ALTER TABLE audit ADD COLUMN digest bytea;            -- of salt and event; null in rows older than this
ALTER TABLE audit DROP CONSTRAINT audit_pkey;
ALTER TABLE audit ADD CONSTRAINT audit_pkey PRIMARY KEY (tenant, xid, id);

CREATE TABLE ledger_head (                            -- how far a tenant's log is sequenced: a bookmark, checked against storage
  size     int8  NOT NULL,
  cosigned int8  NOT NULL,
  xid      xid8  NOT NULL,
  id       uuid  NOT NULL,
  tenant   int4  NOT NULL,
  root     bytea NOT NULL,
  CONSTRAINT ledger_head_pkey PRIMARY KEY (tenant)
) WITH (fillfactor = 50);
ALTER TABLE ledger_head ENABLE ROW LEVEL SECURITY;
ALTER TABLE ledger_head FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON ledger_head USING (tenant = current_setting('app.tenant')::int4) WITH CHECK (tenant = current_setting('app.tenant')::int4);
GRANT SELECT, INSERT, UPDATE (size, cosigned, xid, id, root) ON ledger_head TO cordon_cell;

-- +goose Down
DROP TABLE ledger_head;
ALTER TABLE audit DROP CONSTRAINT audit_pkey;
ALTER TABLE audit ADD CONSTRAINT audit_pkey PRIMARY KEY (tenant, id);
ALTER TABLE audit DROP COLUMN digest;
