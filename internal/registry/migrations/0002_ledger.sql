-- +goose Up
-- Rows of events in the order of their log, authentic by a MAC, and what this role remembers of others' logs (docs/adr/0009).
ALTER TABLE audit ADD COLUMN mac bytea NOT NULL;      -- under control's audit key
ALTER TABLE audit DROP CONSTRAINT audit_pkey;
ALTER TABLE audit ADD CONSTRAINT audit_pkey PRIMARY KEY (tenant, xid, id), ADD CONSTRAINT audit_once UNIQUE (tenant, id);

CREATE TABLE ledger_head (                            -- how far a log is sequenced: a bookmark, checked against storage
  size     int8  NOT NULL,
  cosigned int8  NOT NULL,
  xid      xid8  NOT NULL,
  id       uuid  NOT NULL,
  tenant   uuid  NOT NULL,                            -- nil = the platform's own
  root     bytea NOT NULL,
  CONSTRAINT ledger_head_pkey PRIMARY KEY (tenant)
) WITH (fillfactor = 50);
CREATE TABLE witness (                                -- the newest head of each log of another role that was cosigned
  origin text NOT NULL,
  size   int8 NOT NULL,
  root   bytea NOT NULL,
  note   bytea NOT NULL,
  at     timestamptz NOT NULL,
  CONSTRAINT witness_pkey PRIMARY KEY (origin)
) WITH (fillfactor = 50);
GRANT SELECT, INSERT, UPDATE ON ledger_head, witness TO cordon_control;

-- +goose Down
DROP TABLE witness, ledger_head;
ALTER TABLE audit DROP CONSTRAINT audit_once;
ALTER TABLE audit DROP CONSTRAINT audit_pkey;
ALTER TABLE audit ADD CONSTRAINT audit_pkey PRIMARY KEY (tenant, id);
ALTER TABLE audit DROP COLUMN mac;
