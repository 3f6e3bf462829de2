-- +goose Up
-- How often in a row the proof was not there, and domains that need none.
ALTER TABLE domains ADD COLUMN misses bigint NOT NULL DEFAULT 0;
ALTER TABLE domains ADD COLUMN trusted bigint NOT NULL DEFAULT 0;
DROP INDEX domains_checked_at;
CREATE INDEX domains_proven ON domains (checked_at) WHERE verified_at > 0 AND trusted = 0;
CREATE INDEX domains_pending ON domains (checked_at) WHERE verified_at = 0;

-- +goose Down
DROP INDEX domains_pending;
DROP INDEX domains_proven;
CREATE INDEX domains_checked_at ON domains (checked_at);
ALTER TABLE domains DROP COLUMN trusted;
ALTER TABLE domains DROP COLUMN misses;
