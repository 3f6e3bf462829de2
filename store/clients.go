package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
)

// Client is an OAuth client of the embedded provider.
type Client struct {
	ID                    string
	Name                  string
	Type                  string
	SecretHash            string // "" where the client has none
	RedirectURIs          []string
	PostLogoutURIs        []string
	IDTokenAlg            string
	RequirePushedRequests bool
	CreatedAt             int64 // unix seconds
	UpdatedAt             int64
}

// AddClient adds c; ErrExists where the ID is taken.
func (db *DB) AddClient(ctx context.Context, c Client) error {
	redirects, logouts, err := c.lists()
	if err != nil {
		return err
	}
	return insert(ctx, db.write, `INSERT INTO clients (id, name, type, secret_hash, redirect_uris, logout_uris, id_token_alg, require_par, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		c.ID, c.Name, c.Type, c.SecretHash, redirects, logouts, c.IDTokenAlg, bit(c.RequirePushedRequests), c.CreatedAt, c.UpdatedAt)
}

// SetClient writes every field of the client c.ID but CreatedAt.
func (db *DB) SetClient(ctx context.Context, c Client) error {
	redirects, logouts, err := c.lists()
	if err != nil {
		return err
	}
	return changed(ErrNotFound)(db.write.ExecContext(ctx, `UPDATE clients SET name = $2, type = $3, secret_hash = $4, redirect_uris = $5, logout_uris = $6,
		id_token_alg = $7, require_par = $8, updated_at = $9 WHERE id = $1`,
		c.ID, c.Name, c.Type, c.SecretHash, redirects, logouts, c.IDTokenAlg, bit(c.RequirePushedRequests), c.UpdatedAt))
}

// Client returns the client whose ID is id.
func (db *DB) Client(ctx context.Context, id string) (Client, error) {
	return scanClient(db.read.QueryRowContext(ctx, `SELECT id, name, type, secret_hash, redirect_uris, logout_uris, id_token_alg, require_par, created_at, updated_at
		FROM clients WHERE id = $1`, id))
}

// Clients returns every client, by ID.
func (db *DB) Clients(ctx context.Context) (clients []Client, err error) {
	err = each(ctx, db.read, func(r row) error {
		c, err := scanClient(r)
		clients = append(clients, c)
		return err
	}, `SELECT id, name, type, secret_hash, redirect_uris, logout_uris, id_token_alg, require_par, created_at, updated_at
		FROM clients ORDER BY id`)
	return clients, err
}

// RemoveClient removes the client and every grant that it holds.
func (db *DB) RemoveClient(ctx context.Context, id string) error {
	return db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changed(ErrNotFound)(tx.ExecContext(ctx, `DELETE FROM clients WHERE id = $1`, id)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM grants WHERE client_id = $1`, id)
		return err
	})
}

func (c Client) lists() (redirects, logouts string, err error) {
	a, err := json.Marshal(c.RedirectURIs)
	if err != nil {
		return "", "", err
	}
	b, err := json.Marshal(c.PostLogoutURIs)
	return string(a), string(b), err
}

func scanClient(r row) (Client, error) {
	var c Client
	var redirects, logouts string
	var par int64
	err := r.Scan(&c.ID, &c.Name, &c.Type, &c.SecretHash, &redirects, &logouts, &c.IDTokenAlg, &par, &c.CreatedAt, &c.UpdatedAt)
	if err != nil {
		return c, found(err)
	}
	c.RequirePushedRequests = par != 0
	if err := json.Unmarshal([]byte(redirects), &c.RedirectURIs); err != nil {
		return c, fmt.Errorf("redirect URIs of client %q: %v", c.ID, err)
	}
	if err := json.Unmarshal([]byte(logouts), &c.PostLogoutURIs); err != nil {
		return c, fmt.Errorf("post-logout redirect URIs of client %q: %v", c.ID, err)
	}
	return c, nil
}
