-- +goose Up
-- The broker's database: wrapped keys only. Without the KMS a dump of it opens nothing.
CREATE TABLE kek (                            -- a tenant's key-encryption keys
  tenant  uuid NOT NULL,
  ver     int4 NOT NULL,
  mode    text NOT NULL,                      -- shared-root | tenant | external
  kms_key text NOT NULL,                      -- which key of the KMS wraps it
  wrapped bytea NOT NULL,
  created timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT kek_pkey PRIMARY KEY (tenant, ver),
  CONSTRAINT kek_mode CHECK (mode IN ('shared-root', 'tenant', 'external'))
);
CREATE TABLE secret (                         -- data, index and signing secrets, wrapped by a KEK
  tenant  uuid NOT NULL,
  kind    text NOT NULL,
  ver     int4 NOT NULL,
  kek_ver int4 NOT NULL,
  wrapped bytea NOT NULL,
  state   text NOT NULL DEFAULT 'active',     -- active | retired (opens, never seals)
  created timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT secret_pkey PRIMARY KEY (tenant, kind, ver),
  CONSTRAINT secret_kek FOREIGN KEY (tenant, kek_ver) REFERENCES kek (tenant, ver),
  CONSTRAINT secret_kind CHECK (kind IN ('data', 'index', 'sign')),
  CONSTRAINT secret_state CHECK (state IN ('active', 'retired'))
);
CREATE TABLE audit (                          -- key operations; rows are only ever added, and hold no PHI
  id       uuid NOT NULL,
  recorded int8 NOT NULL,
  xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
  tenant   uuid NOT NULL,
  body     bytea NOT NULL,
  CONSTRAINT audit_pkey PRIMARY KEY (tenant, id)
);
GRANT SELECT, INSERT ON kek, secret, audit TO cordon_keys;

-- +goose Down
DROP TABLE audit, secret, kek;
