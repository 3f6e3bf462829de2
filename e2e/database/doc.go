// Package database shows what the store promises with real databases: a
// PostgreSQL server, disks that are full, processes that are killed. Run it with
// make database, and with more rounds make crash.
package database
