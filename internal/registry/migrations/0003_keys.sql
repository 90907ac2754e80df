-- +goose Up
-- What the broker last said of a tenant's keys, so that the directory tells every edge and cell.
ALTER TABLE tenant
  ADD COLUMN keys_state      text NOT NULL DEFAULT 'enabled',
  ADD COLUMN keys_generation int8 NOT NULL DEFAULT 1,
  ADD COLUMN keys_due        timestamptz,                 -- when the broker is to be asked again; in the past = an operation is not finished
  ADD CONSTRAINT tenant_keys_state CHECK (keys_state IN ('enabled', 'disabled'));
CREATE INDEX tenant_keys_due ON tenant (keys_due) WHERE keys_due IS NOT NULL;

-- +goose Down
DROP INDEX tenant_keys_due;
ALTER TABLE tenant DROP COLUMN keys_due, DROP COLUMN keys_generation, DROP COLUMN keys_state;
