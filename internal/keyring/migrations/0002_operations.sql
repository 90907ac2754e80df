-- +goose Up
-- Key operations: a tenant's keys as a whole are enabled or disabled, secrets get new versions, and a service identity that asks
-- for too many tenants is stopped.
CREATE TABLE custody (                        -- no row = enabled, generation 1: a release before this one minted the keys
  tenant     uuid NOT NULL,
  state      text NOT NULL DEFAULT 'enabled',
  generation int8 NOT NULL DEFAULT 1,         -- counts key operations: who holds keys of an earlier one asks again
  changed    timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT custody_pkey PRIMARY KEY (tenant),
  CONSTRAINT custody_state CHECK (state IN ('enabled', 'disabled'))
);
INSERT INTO custody (tenant) SELECT DISTINCT tenant FROM kek;
ALTER TABLE secret ADD COLUMN retired timestamptz;
ALTER TABLE secret DROP CONSTRAINT secret_state;
ALTER TABLE secret ADD CONSTRAINT secret_state CHECK (state IN ('next', 'active', 'retired')); -- next = a signing key that is published, and does not sign yet
CREATE TABLE stop (                           -- service identities that get no lease
  id       uuid NOT NULL,
  identity text NOT NULL,
  reason   text NOT NULL,
  since    timestamptz NOT NULL DEFAULT now(),
  until    timestamptz,                       -- null = until an operator resumes it
  resumed  timestamptz,
  CONSTRAINT stop_pkey PRIMARY KEY (id)
);
CREATE UNIQUE INDEX stop_one ON stop (identity) WHERE resumed IS NULL;
GRANT SELECT, INSERT ON custody, stop TO cordon_keys;
GRANT UPDATE (state, generation, changed) ON custody TO cordon_keys;
GRANT UPDATE (state, retired) ON secret TO cordon_keys;
GRANT UPDATE (resumed) ON stop TO cordon_keys;

-- +goose Down
DROP TABLE stop, custody;
UPDATE secret SET state = 'retired' WHERE state = 'next';
ALTER TABLE secret DROP CONSTRAINT secret_state;
ALTER TABLE secret ADD CONSTRAINT secret_state CHECK (state IN ('active', 'retired'));
ALTER TABLE secret DROP COLUMN retired;
