-- +goose Up
-- The audit log is read by time and by who made a change, and the oldest entries
-- go. Both indexes grow at their ends.
CREATE INDEX audit_at ON audit (at, revision);
CREATE INDEX audit_actor ON audit (actor, revision);

-- +goose Down
DROP INDEX audit_actor;
DROP INDEX audit_at;
