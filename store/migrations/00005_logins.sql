-- +goose Up
-- What happened to each login. Times are in milliseconds: its legs are less than
-- a second apart. Each replica adds the legs that came to it, in no order; the
-- columns are such that the order does not matter.
CREATE TABLE logins (
	id         text   NOT NULL PRIMARY KEY, -- the login id; the reference of a request that belongs to none
	joined     bigint NOT NULL,             -- 1: it is a login id
	tenant     text   NOT NULL,             -- label; '': not known
	app        text   NOT NULL,
	stages     bigint NOT NULL,             -- bits: how far it came; from 1024 on it is done
	rule       text   NOT NULL,             -- of its last failure
	began_at   bigint NOT NULL,
	updated_at bigint NOT NULL,
	failed_at  bigint NOT NULL              -- 0: nothing failed
);
CREATE INDEX logins_updated_at ON logins (updated_at);
CREATE INDEX logins_tenant ON logins (tenant, updated_at);
CREATE INDEX logins_undone ON logins (updated_at) WHERE stages < 1024;
CREATE INDEX logins_rule ON logins (rule, updated_at) WHERE failed_at > 0;

CREATE TABLE login_legs (
	request text   NOT NULL PRIMARY KEY, -- the reference that pages show
	login   text   NOT NULL REFERENCES logins (id) ON DELETE CASCADE,
	at      bigint NOT NULL,
	body    text   NOT NULL              -- JSON, opaque here
);
CREATE INDEX login_legs_login ON login_legs (login, at);
CREATE INDEX login_legs_at ON login_legs (at);

-- What was told to somebody, so that one replica tells it.
CREATE TABLE login_warnings (
	tenant text   NOT NULL,
	app    text   NOT NULL,
	at     bigint NOT NULL, -- the window, in milliseconds
	PRIMARY KEY (tenant, app, at)
);
CREATE INDEX login_warnings_at ON login_warnings (at);

-- +goose Down
DROP TABLE login_warnings;
DROP TABLE login_legs;
DROP TABLE logins;
