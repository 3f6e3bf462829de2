-- +goose Up
-- One row, and every change to what stands below writes it first: its lock lets
-- one writer in at a time, so revisions are committed in their order and who
-- reads "revision > mine" never misses one.
CREATE TABLE registry (
	id       bigint NOT NULL PRIMARY KEY, -- 1
	revision bigint NOT NULL,             -- changes so far; each has a row in audit
	tenants  bigint NOT NULL              -- those that were not removed
);
INSERT INTO registry (id, revision, tenants) VALUES (1, 0, 0);

-- A removed tenant stays: its ID is nobody else's, and its label rests.
CREATE TABLE tenants (
	id         text   NOT NULL PRIMARY KEY,
	label      text   NOT NULL,
	status     text   NOT NULL,
	issuer     text   NOT NULL,        -- '': any
	parameters text   NOT NULL,        -- JSON object
	notes      text   NOT NULL,
	revision   bigint NOT NULL UNIQUE, -- of its last change
	created_at bigint NOT NULL,
	updated_at bigint NOT NULL,
	removed_at bigint NOT NULL         -- 0: there
);
CREATE UNIQUE INDEX tenants_label ON tenants (label) WHERE removed_at = 0;
CREATE INDEX tenants_status ON tenants (status, label) WHERE removed_at = 0;
CREATE INDEX tenants_resting ON tenants (label, removed_at) WHERE removed_at > 0;

-- Custom domains. Anybody may claim an origin; one tenant of an app has proved it.
CREATE TABLE domains (
	tenant_id     text   NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
	app           text   NOT NULL,
	origin        text   NOT NULL,
	token         text   NOT NULL, -- what the DNS must say
	verified_at   bigint NOT NULL, -- 0: not admitted
	checked_at    bigint NOT NULL,
	failing_since bigint NOT NULL, -- 0: the last check found the proof
	PRIMARY KEY (tenant_id, app)
);
CREATE UNIQUE INDEX domains_origin ON domains (app, origin) WHERE verified_at > 0;
CREATE INDEX domains_checked_at ON domains (checked_at);

CREATE TABLE audit (
	revision bigint NOT NULL PRIMARY KEY,
	at       bigint NOT NULL,
	actor    text   NOT NULL,
	via      text   NOT NULL,
	action   text   NOT NULL,
	subject  text   NOT NULL,
	before   text   NOT NULL, -- JSON; '' where there was nothing
	after    text   NOT NULL  -- JSON; '' where nothing is left
);
CREATE INDEX audit_subject ON audit (subject, revision);

CREATE TABLE tokens (
	id         text   NOT NULL PRIMARY KEY,
	name       text   NOT NULL UNIQUE,
	hash       text   NOT NULL UNIQUE,
	scopes     text   NOT NULL, -- JSON array
	created_at bigint NOT NULL,
	expires_at bigint NOT NULL  -- 0: never
);

-- Numbers of sealing keys are one octet and begin again: the revision orders them.
ALTER TABLE secrets ADD COLUMN revision bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE secrets DROP COLUMN revision;
DROP TABLE tokens;
DROP TABLE audit;
DROP TABLE domains;
DROP TABLE tenants;
DROP TABLE registry;
