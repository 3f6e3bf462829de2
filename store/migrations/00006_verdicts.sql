-- +goose Up
-- What was found wrong with tenants' logins when they were tried last. What is
-- well is not here.
CREATE TABLE verdicts (
	tenant  text   NOT NULL, -- label; '': it is about the provider
	app     text   NOT NULL, -- '': whichever
	outcome text   NOT NULL,
	detail  text   NOT NULL,
	fix     text   NOT NULL,
	since   bigint NOT NULL, -- when it began, unix seconds
	at      bigint NOT NULL, -- when it was seen last
	PRIMARY KEY (tenant, app)
);
CREATE INDEX verdicts_outcome ON verdicts (outcome, tenant, app);
CREATE INDEX verdicts_at ON verdicts (at);

-- How far the verification has come, and which replica does it.
CREATE TABLE verify_rounds (
	id     bigint NOT NULL PRIMARY KEY, -- 1
	holder text   NOT NULL,
	until  bigint NOT NULL, -- the holder's time; then another may go on
	began  bigint NOT NULL, -- of the round; 0: none ever did
	ended  bigint NOT NULL, -- of the last round that went to its end; 0: none
	after  text   NOT NULL, -- the last label that was looked at; '': none in this round
	looked bigint NOT NULL  -- tenants in the last round that went to its end
);
INSERT INTO verify_rounds (id, holder, until, began, ended, after, looked) VALUES (1, '', 0, 0, 0, '', 0);

-- +goose Down
DROP TABLE verify_rounds;
DROP TABLE verdicts;
