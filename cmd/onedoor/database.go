package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"onedoor/config"
	"onedoor/store"
)

// databaseCommand looks after the database as a whole.
type databaseCommand struct {
	Copy databaseCopy `cmd:"" help:"Copy all that another database holds into that of the configuration, as from SQLite to PostgreSQL."`
}

type databaseCopy struct {
	configFlag
	From string `env:"-" required:"" placeholder:"FILE" help:"The configuration file that names the other database: the one that doors were run with until now."`
	JSON bool   `name:"json" help:"Print JSON."`
}

// Run copies, all or nothing.
func (c *databaseCopy) Run(t *terminal) error {
	from, err := config.Load(c.From, os.LookupEnv)
	if err != nil {
		return err
	}
	if name := string(from.Database); !strings.Contains(name, "://") {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) { // it would be made
			return couldNotLook(fmt.Errorf("%s names the database %s, and there is no such file", c.From, name), "name the configuration that doors were run with until now")
		}
	}
	source, err := openStore(t.ctx, from)
	if err != nil {
		return couldNotLook(err, "")
	}
	defer func() { _ = source.Close() }() // it was only read
	return c.database(t, func(_ *config.Config, target *store.DB) error {
		p := newPacing(t, "copying", 0)
		rows, err := target.CopyFrom(t.ctx, source, func(n int) { p.at(n, 0) })
		p.clear()
		var full *store.NotEmptyError
		switch {
		case errors.As(err, &full):
			return found(fmt.Errorf("the database of %s: %w", c.Config, full), "name one that is new; nothing was changed in this one")
		case err != nil:
			return couldNotLook(err, "nothing was copied")
		case c.JSON:
			return t.json(rows)
		}
		table := [][]string{{"TABLE", "ROWS"}}
		for _, name := range slices.Sorted(maps.Keys(rows)) {
			if rows[name] > 0 {
				table = append(table, []string{name, strconv.Itoa(rows[name])})
			}
		}
		return t.table(table)
	})
}
