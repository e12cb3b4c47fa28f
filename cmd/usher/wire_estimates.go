package main

import (
	"context"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/cmd/usher/internal/config"
)

// estimate is one figure of the configuration; nil is not configured.
type estimate struct {
	name, currency string
	value          *float64
}

// writeEstimates writes the configured estimates where they differ from what is stored. One that is
// configured no longer is written as NULL: its KPI has no rows from then on.
func writeEstimates(ctx context.Context, conn driver.Conn, c *config.Config) error {
	wanted := []estimate{{name: "triage_minutes", value: c.Estimates.TriageMinutes}}
	cost := estimate{name: "cost_per_contact"}
	if m := c.Estimates.CostPerContact; m != nil {
		cost.value, cost.currency = &m.Value, m.Currency
	}
	have, err := storedEstimates(ctx, conn)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	for _, e := range append(wanted, cost) {
		old, ok := have[e.name]
		same := !ok && e.value == nil || ok && old.currency == e.currency &&
			(old.value == nil) == (e.value == nil) && (e.value == nil || *old.value == *e.value)
		if same {
			continue
		}
		err := conn.Exec(ctx, "INSERT INTO estimates (name, value, currency, valid_from, updated_at) "+
			"VALUES ($1, $2, $3, $4, $5)", e.name, e.value, e.currency, now, now)
		if err != nil {
			return fmt.Errorf("cannot write estimate %s: %w", e.name, err)
		}
	}
	return nil
}

// storedEstimates are the newest estimates that the store has.
func storedEstimates(ctx context.Context, conn driver.Conn) (map[string]estimate, error) {
	rows, err := conn.Query(ctx, "SELECT toString(name), value, toString(currency) FROM estimates "+
		"ORDER BY valid_from, updated_at")
	if err != nil {
		return nil, fmt.Errorf("cannot read the estimates: %w", err)
	}
	defer func() { _ = rows.Close() }()
	have := make(map[string]estimate)
	for rows.Next() {
		var e estimate
		if err := rows.Scan(&e.name, &e.value, &e.currency); err != nil {
			return nil, fmt.Errorf("cannot read the estimates: %w", err)
		}
		have[e.name] = e
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("cannot read the estimates: %w", err)
	}
	return have, nil
}
