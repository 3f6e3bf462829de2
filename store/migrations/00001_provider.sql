-- text and bigint only, unix seconds, no defaults that read a clock: the same
-- texts serve SQLite and PostgreSQL.

-- +goose Up
CREATE TABLE users (
	id             text   NOT NULL PRIMARY KEY, -- the subject; never another person's
	username       text   NOT NULL UNIQUE,      -- in the form that logins are compared in
	name           text   NOT NULL,
	email          text   NOT NULL,
	email_verified bigint NOT NULL,
	password       text   NOT NULL,             -- Argon2id in PHC form
	status         text   NOT NULL,
	created_at     bigint NOT NULL,
	updated_at     bigint NOT NULL
);

CREATE TABLE clients (
	id               text   NOT NULL PRIMARY KEY,
	name             text   NOT NULL,
	type             text   NOT NULL,
	secret_hash      text   NOT NULL, -- '' where the client has none
	redirect_uris    text   NOT NULL, -- JSON array
	logout_uris      text   NOT NULL, -- JSON array
	id_token_alg     text   NOT NULL,
	require_par      bigint NOT NULL,
	created_at       bigint NOT NULL,
	updated_at       bigint NOT NULL
);

CREATE TABLE grants (
	id         text   NOT NULL PRIMARY KEY,
	client_id  text   NOT NULL,
	subject    text   NOT NULL,
	code_hash  text   UNIQUE,
	body       text   NOT NULL, -- the engine's, opaque here
	version    bigint NOT NULL,
	created_at bigint NOT NULL,
	expires_at bigint NOT NULL,
	revoked_at bigint NOT NULL  -- 0: in force
);
CREATE INDEX grants_client_id ON grants (client_id);
CREATE INDEX grants_subject ON grants (subject);
CREATE INDEX grants_expires_at ON grants (expires_at);

-- Spent tokens stay until their grant goes: one that comes back was stolen.
CREATE TABLE refresh_tokens (
	hash     text   NOT NULL PRIMARY KEY,
	grant_id text   NOT NULL REFERENCES grants (id) ON DELETE CASCADE,
	spent    bigint NOT NULL
);
CREATE INDEX refresh_tokens_grant_id ON refresh_tokens (grant_id);

CREATE TABLE auth_sessions (
	id         text   NOT NULL PRIMARY KEY,
	par_hash   text   UNIQUE,
	body       text   NOT NULL, -- the engine's, opaque here
	version    bigint NOT NULL,
	expires_at bigint NOT NULL
);
CREATE INDEX auth_sessions_expires_at ON auth_sessions (expires_at);

CREATE TABLE browser_sessions (
	hash       text   NOT NULL PRIMARY KEY, -- of the cookie's value
	sid        text   NOT NULL,             -- what clients may know it by
	user_id    text   NOT NULL,
	auth_time  bigint NOT NULL,
	expires_at bigint NOT NULL
);
CREATE INDEX browser_sessions_user_id ON browser_sessions (user_id);
CREATE INDEX browser_sessions_expires_at ON browser_sessions (expires_at);

CREATE TABLE signing_keys (
	alg         text   NOT NULL,
	generation  bigint NOT NULL, -- the highest signs
	id          text   NOT NULL UNIQUE,
	private_key text   NOT NULL, -- PKCS #8, base64
	created_at  bigint NOT NULL,
	PRIMARY KEY (alg, generation)
);

CREATE TABLE secrets (
	purpose    text   NOT NULL,
	id         bigint NOT NULL,
	value      text   NOT NULL, -- base64
	created_at bigint NOT NULL,
	PRIMARY KEY (purpose, id)
);

-- +goose Down
DROP TABLE secrets;
DROP TABLE signing_keys;
DROP TABLE browser_sessions;
DROP TABLE auth_sessions;
DROP TABLE refresh_tokens;
DROP TABLE grants;
DROP TABLE clients;
DROP TABLE users;
