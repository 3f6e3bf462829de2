-- +goose Up
-- States of apps that are too long to travel in a sealed one. The value is
-- sealed itself: whoever reads the table learns nothing.
CREATE TABLE long_states (
	handle     text   NOT NULL PRIMARY KEY,
	value      text   NOT NULL,
	expires_at bigint NOT NULL
);
CREATE INDEX long_states_expires_at ON long_states (expires_at);

-- +goose Down
DROP TABLE long_states;
