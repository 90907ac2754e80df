-- +goose Up
-- A tenant's auditor reads by time; the table's key is in the order of commits, for the log. Ids are time-ordered.
CREATE INDEX audit_time ON audit (tenant, id);

-- +goose Down
DROP INDEX audit_time;
