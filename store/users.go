package store

import (
	"context"
	"database/sql"
)

// User is a person who can log in.
type User struct {
	ID            string // the subject
	Username      string // in the form that logins are compared in
	Name          string
	Email         string
	EmailVerified bool
	Password      string // Argon2id in PHC form
	Status        string
	CreatedAt     int64 // unix seconds
	UpdatedAt     int64
}

// AddUser adds u; ErrExists where the username or the ID is taken.
func (db *DB) AddUser(ctx context.Context, u User) error {
	return insert(ctx, db.write, `INSERT INTO users (id, username, name, email, email_verified, password, status, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
		u.ID, u.Username, u.Name, u.Email, bit(u.EmailVerified), u.Password, u.Status, u.CreatedAt, u.UpdatedAt)
}

// SetUser writes every field of the user u.ID but CreatedAt.
func (db *DB) SetUser(ctx context.Context, u User) error {
	err := changed(ErrNotFound)(db.write.ExecContext(ctx, `UPDATE users SET username = $2, name = $3, email = $4, email_verified = $5, password = $6,
		status = $7, updated_at = $8 WHERE id = $1`,
		u.ID, u.Username, u.Name, u.Email, bit(u.EmailVerified), u.Password, u.Status, u.UpdatedAt))
	if isUnique(err) {
		return ErrExists
	}
	return err
}

// User returns the user whose ID is id.
func (db *DB) User(ctx context.Context, id string) (User, error) {
	return scanUser(db.read.QueryRowContext(ctx, `SELECT id, username, name, email, email_verified, password, status, created_at, updated_at
		FROM users WHERE id = $1`, id))
}

// UserByName returns the user whose Username is name.
func (db *DB) UserByName(ctx context.Context, name string) (User, error) {
	return scanUser(db.read.QueryRowContext(ctx, `SELECT id, username, name, email, email_verified, password, status, created_at, updated_at
		FROM users WHERE username = $1`, name))
}

// Users returns every user, by username.
func (db *DB) Users(ctx context.Context) (users []User, err error) {
	err = each(ctx, db.read, func(r row) error {
		u, err := scanUser(r)
		users = append(users, u)
		return err
	}, `SELECT id, username, name, email, email_verified, password, status, created_at, updated_at
		FROM users ORDER BY username`)
	return users, err
}

// RemoveUser removes the user and all that was granted in their name.
func (db *DB) RemoveUser(ctx context.Context, id string) error {
	return db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := changed(ErrNotFound)(tx.ExecContext(ctx, `DELETE FROM users WHERE id = $1`, id)); err != nil {
			return err
		}
		return dropUser(ctx, tx, id)
	})
}

// LogoutUser ends every browser session and every grant of the user, as a new
// password or a suspension must.
func (db *DB) LogoutUser(ctx context.Context, id string) error {
	return db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error { return dropUser(ctx, tx, id) })
}

func dropUser(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM browser_sessions WHERE user_id = $1`, id); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM grants WHERE subject = $1`, id)
	return err
}

func scanUser(r row) (User, error) {
	var u User
	var verified int64
	err := r.Scan(&u.ID, &u.Username, &u.Name, &u.Email, &verified, &u.Password, &u.Status, &u.CreatedAt, &u.UpdatedAt)
	u.EmailVerified = verified != 0
	return u, found(err)
}
