-- +goose Up
-- The trail is read by time and by patient; its key is in the order of commits, for the log. Ids are time-ordered, so audit_time grows at
-- its end, which is cheap. Of audit_patient only events of a patient are a part: refusals and searches that name nobody cost
-- nothing there, and only statements that mean it repeat its predicate.
CREATE INDEX audit_time ON audit (tenant, id);
CREATE INDEX audit_patient ON audit (tenant, patient, id) WHERE patient <> 0;

-- +goose Down
DROP INDEX audit_patient, audit_time;
