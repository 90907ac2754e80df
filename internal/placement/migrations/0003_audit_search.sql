-- +goose Up
-- Who saw this patient, newest first, is a walk of its page. Events of no patient (the most of a lively tenant's searches and all of its
-- refusals) are not in the index, so that writing them costs what it did; only statements that mean it repeat its predicate.
CREATE INDEX audit_patient ON audit (tenant, patient, id) WHERE patient <> 0;

-- +goose Down
DROP INDEX audit_patient;
