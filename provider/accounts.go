package provider

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"onedoor/store"
)

// Status of a user.
const (
	Active    = "active"
	Suspended = "suspended" // cannot log in
)

// User is what the commands see of a user.
type User struct {
	ID            string    `json:"id"` // the subject of their tokens
	Username      string    `json:"username"`
	Name          string    `json:"name,omitempty"`
	Email         string    `json:"email,omitempty"`
	EmailVerified bool      `json:"email_verified"`
	Status        string    `json:"status"`
	CreatedAt     time.Time `json:"created_at"`
}

func shownUser(u store.User) User {
	return User{
		ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified,
		Status: u.Status, CreatedAt: time.Unix(u.CreatedAt, 0).UTC(),
	}
}

// AddUser adds a user; u.ID and u.CreatedAt are given by it. An empty password
// is replaced by a random one. Whichever it is, it is returned once and kept
// only as a hash.
func AddUser(ctx context.Context, db *store.DB, u User, password string) (User, string, error) {
	name, err := prepareUsername(u.Username)
	if err != nil {
		return User{}, "", fmt.Errorf("user %q: %w", u.Username, err)
	}
	u.Username, u.ID = name, rand.Text()
	if u.Status == "" {
		u.Status = Active
	}
	if err := checkUser(u); err != nil {
		return User{}, "", err
	}
	if password == "" {
		password = strings.ToLower(rand.Text())
	}
	hash, err := hashPassword(password)
	if err != nil {
		return User{}, "", fmt.Errorf("user %q: %w", u.Username, err)
	}
	now := time.Now().Unix()
	row := store.User{
		ID: u.ID, Username: u.Username, Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified,
		Password: hash, Status: u.Status, CreatedAt: now, UpdatedAt: now,
	}
	if err := db.AddUser(ctx, row); err != nil {
		return User{}, "", fmt.Errorf("user %q: %w", u.Username, err)
	}
	return shownUser(row), password, nil
}

func checkUser(u User) error {
	if u.Email != "" {
		if a, err := mail.ParseAddress(u.Email); err != nil || a.Address != u.Email {
			return fmt.Errorf("user %q: %q is not an e-mail address", u.Username, u.Email)
		}
	}
	if u.Status != Active && u.Status != Suspended {
		return fmt.Errorf("user %q: status %q: say %s or %s", u.Username, u.Status, Active, Suspended)
	}
	return nil
}

// Users lists every user, by name.
func Users(ctx context.Context, db *store.DB) ([]User, error) {
	rows, err := db.Users(ctx)
	users := make([]User, len(rows))
	for i, row := range rows {
		users[i] = shownUser(row)
	}
	return users, err
}

// UserChange says what of a user changes; nil leaves it as it is.
type UserChange struct {
	Name, Email, Status *string
	EmailVerified       *bool
}

// SetUser changes a user. One who is suspended is logged out everywhere.
func SetUser(ctx context.Context, db *store.DB, username string, change UserChange) (User, error) {
	row, err := findUser(ctx, db, username)
	if err != nil {
		return User{}, err
	}
	for into, value := range map[*string]*string{&row.Name: change.Name, &row.Email: change.Email, &row.Status: change.Status} {
		if value != nil {
			*into = *value
		}
	}
	if change.Email != nil && change.EmailVerified == nil {
		row.EmailVerified = false // it was the other address that was verified
	}
	if change.EmailVerified != nil {
		row.EmailVerified = *change.EmailVerified
	}
	if err := checkUser(shownUser(row)); err != nil {
		return User{}, err
	}
	return shownUser(row), saveUser(ctx, db, row, row.Status == Suspended)
}

// SetPassword gives a user another password, a random one where password is
// empty, returns it, and logs the user out everywhere.
func SetPassword(ctx context.Context, db *store.DB, username, password string) (string, error) {
	row, err := findUser(ctx, db, username)
	if err != nil {
		return "", err
	}
	if password == "" {
		password = strings.ToLower(rand.Text())
	}
	if row.Password, err = hashPassword(password); err != nil {
		return "", fmt.Errorf("user %q: %w", username, err)
	}
	return password, saveUser(ctx, db, row, true)
}

// RemoveUser removes a user and all that was granted in their name.
func RemoveUser(ctx context.Context, db *store.DB, username string) error {
	row, err := findUser(ctx, db, username)
	if err != nil {
		return err
	}
	if err := db.RemoveUser(ctx, row.ID); err != nil {
		return fmt.Errorf("user %q: %w", username, err)
	}
	return nil
}

func saveUser(ctx context.Context, db *store.DB, row store.User, logOut bool) error {
	row.UpdatedAt = time.Now().Unix()
	err := db.SetUser(ctx, row)
	if err == nil && logOut {
		err = db.LogoutUser(ctx, row.ID)
	}
	if err != nil {
		return fmt.Errorf("user %q: %w", row.Username, err)
	}
	return nil
}

func findUser(ctx context.Context, db *store.DB, username string) (store.User, error) {
	name, err := prepareUsername(username)
	if err != nil {
		return store.User{}, fmt.Errorf("user %q: %w", username, store.ErrNotFound)
	}
	row, err := db.UserByName(ctx, name)
	if err != nil {
		return row, fmt.Errorf("user %q: %w", username, err)
	}
	return row, nil
}
