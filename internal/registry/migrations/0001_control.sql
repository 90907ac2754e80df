-- +goose Up
-- Control's database: tenants, clients, operators. Nothing of a patient.
CREATE TABLE tenant (
  id        uuid NOT NULL,
  slug      text NOT NULL,
  state     text NOT NULL,
  placement text NOT NULL,
  cell      text NOT NULL,
  number    int4 NOT NULL GENERATED ALWAYS AS IDENTITY,  -- cell-local number; one sequence for all cells keeps a move simple
  jwks      jsonb,                                       -- public keys of the tenant's tokens
  created   timestamptz NOT NULL DEFAULT now(),
  changed   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT tenant_pkey PRIMARY KEY (id),
  CONSTRAINT tenant_slug UNIQUE (slug),
  CONSTRAINT tenant_number UNIQUE (number),
  CONSTRAINT tenant_state CHECK (state IN ('requested', 'provisioning', 'active', 'suspended', 'moving', 'offboarding', 'archived', 'destroyed')),
  CONSTRAINT tenant_placement CHECK (placement IN ('pooled', 'schema', 'database', 'dedicated'))
);
CREATE TABLE step (                                      -- what of a tenant's plan is done
  tenant uuid NOT NULL,
  name   text NOT NULL,
  done   timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT step_pkey PRIMARY KEY (tenant, name),
  CONSTRAINT step_tenant FOREIGN KEY (tenant) REFERENCES tenant (id)
);
CREATE TABLE client (                                    -- client applications of a tenant
  tenant  uuid NOT NULL,
  id      text NOT NULL,
  name    text NOT NULL,
  scopes  text NOT NULL,
  secret  bytea,                                         -- SHA-256 of a 256-bit random secret; null = signs with its keys
  jwks    jsonb,
  created timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT client_pkey PRIMARY KEY (tenant, id),
  CONSTRAINT client_tenant FOREIGN KEY (tenant) REFERENCES tenant (id),
  CONSTRAINT client_proof CHECK ((secret IS NULL) <> (jwks IS NULL))
);
CREATE TABLE assertion (                                 -- ids of client assertions that were used: none is used twice
  tenant  uuid NOT NULL,
  client  text NOT NULL,
  jti     text NOT NULL,
  expires timestamptz NOT NULL,
  CONSTRAINT assertion_pkey PRIMARY KEY (tenant, client, jti)
);
CREATE INDEX assertion_expires ON assertion (expires);
CREATE TABLE operator (
  name  text NOT NULL,
  token bytea NOT NULL,                                  -- SHA-256 of a 256-bit random token
  CONSTRAINT operator_pkey PRIMARY KEY (name)
);
CREATE TABLE directory (version int8 NOT NULL);          -- counts changes of tenants, for the pullers
INSERT INTO directory VALUES (1);
CREATE TABLE audit (                                     -- tokens, tenants, clients, denials; only ever added, no PHI
  id       uuid NOT NULL,
  recorded int8 NOT NULL,
  xid      xid8 NOT NULL DEFAULT pg_current_xact_id(),
  tenant   uuid NOT NULL,                                -- nil = of the platform
  body     bytea NOT NULL,
  CONSTRAINT audit_pkey PRIMARY KEY (tenant, id)
);
GRANT SELECT, INSERT, UPDATE ON tenant, client, operator TO cordon_control;
GRANT SELECT, INSERT ON step, audit TO cordon_control;
GRANT SELECT, INSERT, DELETE ON assertion TO cordon_control;
GRANT SELECT, UPDATE ON directory TO cordon_control;

-- +goose Down
DROP TABLE audit, directory, operator, assertion, client, step, tenant;
