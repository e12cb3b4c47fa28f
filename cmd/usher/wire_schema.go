package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/migrate"
	"usher/sinks/clickhouse/schema"
)

func printSchema(w io.Writer, c *config.Config) error {
	_, err := io.WriteString(w, migrate.Print(c.ClickHouse.Database))
	return err
}

// applySchema brings a store to this program's schema and writes down the tenants.
func applySchema(ctx context.Context, at clickhouseAt, c *config.Config) ([]string, error) {
	database := at.database
	at.database = "default" // the database may not be there yet
	conn, err := openClickHouse(at)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := migrate.CreateDatabase(ctx, conn, database); err != nil {
		return nil, err
	}
	at.database = database
	if conn, err = openClickHouse(at); err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := migrate.Apply(ctx, conn); err != nil {
		return nil, err
	}
	for _, write := range []func(context.Context, driver.Conn, *config.Config) error{
		writeEstimates, writeKPISettings, writeTargets, writeZones, writeTenants,
	} {
		if err := write(ctx, conn, c); err != nil {
			return nil, err
		}
	}
	return []string{fmt.Sprintf("database %s has schema %d: %d tables, and their views", database,
		schema.Version, len(schema.Tables()))}, nil
}

// writeTenants writes the configured tenants where they differ from what is stored.
func writeTenants(ctx context.Context, conn driver.Conn, c *config.Config) error {
	rows, err := conn.Query(ctx, "SELECT name, argMax(zone, valid_from), argMax(roles, valid_from) "+
		"FROM tenants GROUP BY name")
	if err != nil {
		return fmt.Errorf("cannot read the tenants: %w", err)
	}
	have := make(map[string]string)
	for rows.Next() {
		var name, zone string
		var roles []string
		if err := rows.Scan(&name, &zone, &roles); err != nil {
			return fmt.Errorf("cannot read the tenants: %w", err)
		}
		have[name] = zone + "|" + strings.Join(roles, ",")
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot read the tenants: %w", err)
	}
	now := time.Now().UTC()
	var names []string
	for name := range c.Tenants {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		t := c.Tenant(name)
		if have[name] == t.Zone+"|"+strings.Join(t.Roles, ",") {
			continue
		}
		err := conn.Exec(ctx, "INSERT INTO tenants (name, zone, roles, valid_from, updated_at) "+
			"VALUES ($1, $2, $3, $4, $5)", name, t.Zone, t.Roles, now, now)
		if err != nil {
			return fmt.Errorf("cannot write tenant %s: %w", name, err)
		}
	}
	return nil
}
