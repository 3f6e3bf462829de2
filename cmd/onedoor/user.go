package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"onedoor/config"
	"onedoor/provider"
	"onedoor/store"
)

// userCommand manages the people of the embedded provider.
type userCommand struct {
	List   userList   `cmd:"" help:"List everybody."`
	Add    userAdd    `cmd:"" help:"Add somebody; the password is generated and shown once."`
	Set    userSet    `cmd:"" help:"Change a name, an address or the status."`
	Passwd userPasswd `cmd:"" help:"Give somebody a new password and log them out everywhere."`
	Remove userRemove `cmd:"" help:"Remove people, and all that was granted in their name."`
}

type userList struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

type userAdd struct {
	configFlag
	Name          string `env:"-" help:"The person's full name."`
	Email         string `env:"-" help:"The person's e-mail address."`
	EmailVerified bool   `env:"-" help:"The address is known to be theirs."`
	PasswordStdin bool   `env:"-" help:"Read the password from the first line of standard input."`
	JSON          bool   `name:"json" help:"Print JSON."`
	Username      string `arg:"" help:"What the person logs in with."`
}

type userSet struct {
	configFlag
	Name          *string `env:"-" help:"The person's full name."`
	Email         *string `env:"-" help:"The person's e-mail address; it is unverified then."`
	EmailVerified *bool   `env:"-" negatable:"" help:"Whether the address is known to be theirs."`
	Status        *string `env:"-" enum:"active,suspended" help:"active, or suspended: logged out everywhere and unable to log in."`
	JSON          bool    `name:"json" help:"Print JSON."`
	Username      string  `arg:"" help:"Who."`
}

type userPasswd struct {
	configFlag
	PasswordStdin bool   `env:"-" help:"Read the password from the first line of standard input."`
	JSON          bool   `name:"json" help:"Print JSON."`
	Username      string `arg:"" help:"Who."`
}

type userRemove struct {
	configFlag
	JSON      bool     `name:"json" help:"Print which were removed, as JSON."`
	Usernames []string `arg:"" help:"Who."`
}

// embedded opens the embedded provider's database for f. The door may be
// running meanwhile: it sees the change at once.
func (c configFlag) embedded(t *terminal, f func(*config.Config, *store.DB) error) (err error) {
	cfg, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	if cfg.Provider.Embedded == nil {
		return couldNotLook(fmt.Errorf("%s names a provider of yours, %s, which keeps its own users and clients", c.Config, cfg.Provider.Upstream), "manage them there; this command is for provider: {embedded: {}}")
	}
	db, err := openStore(t.ctx, cfg)
	if err != nil {
		return couldNotLook(err, "")
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(cfg, db)
}

// explainAccount adds what to do to an error of the provider about a user or a
// client.
func explainAccount(err error, kind string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrNotFound):
		return found(err, "onedoor "+kind+" list shows which there are")
	case errors.Is(err, store.ErrExists):
		return found(err, "change it with onedoor "+kind+" set")
	}
	return found(err, "")
}

// Run prints a table.
func (u *userList) Run(t *terminal) error {
	return u.embedded(t, func(_ *config.Config, db *store.DB) error {
		users, err := provider.Users(t.ctx, db)
		switch {
		case err != nil:
			return couldNotLook(err, "")
		case u.JSON:
			return t.json(users)
		case len(users) == 0:
			fmt.Fprintln(t.out, "There are no users. Add one: onedoor user add --email anna@example.com anna")
			return nil
		}
		rows := [][]string{{"USERNAME", "NAME", "EMAIL", "STATUS", "SINCE"}}
		for _, x := range users {
			rows = append(rows, []string{x.Username, dash(x.Name), dash(x.Email), x.Status, x.CreatedAt.Format(time.DateOnly)})
		}
		return t.table(rows)
	})
}

// shownOnce is a user or client with the secret that nobody can look up later.
type shownOnce struct {
	User     *provider.User   `json:"user,omitempty"`
	Client   *provider.Client `json:"client,omitempty"`
	Password string           `json:"password,omitempty"`
	Secret   string           `json:"client_secret,omitempty"`
}

// Run adds a person.
func (u *userAdd) Run(t *terminal) error {
	return u.embedded(t, func(_ *config.Config, db *store.DB) error {
		given := ""
		if u.PasswordStdin {
			var err error
			if given, err = t.secret(); err != nil {
				return err
			}
		}
		user, password, err := provider.AddUser(t.ctx, db, provider.User{
			Username: u.Username, Name: u.Name, Email: u.Email, EmailVerified: u.EmailVerified,
		}, given)
		if err != nil {
			return explainAccount(err, "user")
		}
		return showPassword(t, u.JSON, &user, user.Username, given, password)
	})
}

// showPassword tells that it is done, and the password only where nobody knows
// it yet.
func showPassword(t *terminal, asJSON bool, user *provider.User, name, given, password string) error {
	if given != "" {
		password = ""
	}
	if asJSON {
		return t.json(shownOnce{User: user, Password: password})
	}
	rows := [][]string{{"username", name}}
	if password != "" {
		rows = append(rows, []string{"password", password + "   (shown this once)"})
	}
	return t.table(rows)
}

// Run changes what was given.
func (u *userSet) Run(t *terminal) error {
	return u.embedded(t, func(_ *config.Config, db *store.DB) error {
		if u.Name == nil && u.Email == nil && u.EmailVerified == nil && u.Status == nil {
			return &failure{code: 2, message: "nothing to change is given", hint: "try: onedoor help user set"}
		}
		user, err := provider.SetUser(t.ctx, db, u.Username, provider.UserChange{
			Name: u.Name, Email: u.Email, Status: u.Status, EmailVerified: u.EmailVerified,
		})
		if err != nil {
			return explainAccount(err, "user")
		}
		if u.JSON {
			return t.json(shownOnce{User: &user})
		}
		return t.table([][]string{{"USERNAME", "NAME", "EMAIL", "STATUS"}, {user.Username, dash(user.Name), dash(user.Email), user.Status}})
	})
}

// Run sets a password.
func (u *userPasswd) Run(t *terminal) error {
	return u.embedded(t, func(_ *config.Config, db *store.DB) error {
		given := ""
		if u.PasswordStdin {
			var err error
			if given, err = t.secret(); err != nil {
				return err
			}
		}
		password, err := provider.SetPassword(t.ctx, db, u.Username, given)
		if err != nil {
			return explainAccount(err, "user")
		}
		return showPassword(t, u.JSON, nil, u.Username, given, password)
	})
}

// Run removes people, up to the first who is not there.
func (u *userRemove) Run(t *terminal) error {
	return u.embedded(t, func(_ *config.Config, db *store.DB) error {
		return t.eachRemoved(u.JSON, u.Usernames, func(name string) error {
			return explainAccount(provider.RemoveUser(t.ctx, db, name), "user")
		})
	})
}

// dash is an empty cell that can be seen.
func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
