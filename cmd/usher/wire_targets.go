package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/views"
)

// targetDays is over how many days a target is measured unless it says so.
const targetDays = 28

// target is one target as the store holds it; nil is not configured.
type target struct {
	kpi, segment, stat       string
	baseline, target, change *float64
	days                     uint32
}

func (t *target) key() string { return t.kpi + "\x00" + t.segment + "\x00" + t.stat }

func (t *target) text() string {
	show := func(v *float64) string {
		if v == nil {
			return "-"
		}
		return fmt.Sprint(*v)
	}
	return strings.Join([]string{show(t.baseline), show(t.target), show(t.change), fmt.Sprint(t.days)}, " ")
}

// targetsOf makes the configured targets; an error says which KPI or dimension there is not.
func targetsOf(c *config.Config) ([]target, error) {
	var out []target
	for i, t := range c.Targets {
		path := fmt.Sprintf("targets[%d]", i)
		if !slices.Contains(views.Targetable(), t.KPI) {
			return nil, usagef("cannot use %s.kpi: %q takes no target; there are %s", path, t.KPI,
				strings.Join(views.Targetable(), ", "))
		}
		stats := views.StatsOf(t.KPI)
		x := target{
			kpi: t.KPI, stat: t.Stat, days: targetDays, baseline: (*float64)(t.Baseline),
			target: (*float64)(t.Target), change: (*float64)(t.Change),
		}
		if x.stat == "" {
			x.stat = stats[0]
		}
		if !slices.Contains(stats, x.stat) {
			return nil, usagef("cannot use %s.stat: %s is measured by %s", path, t.KPI,
				strings.Join(stats, ", "))
		}
		for dimension, value := range t.When {
			if !slices.Contains(views.Segments, dimension) {
				return nil, usagef("cannot use %s.when: %q is none of %s", path, dimension,
					strings.Join(views.Segments, ", "))
			}
			x.segment = dimension + "=" + value
		}
		if t.Over != 0 {
			x.days = uint32(t.Over.Std() / (24 * time.Hour))
		}
		out = append(out, x)
	}
	return out, nil
}

// writeTargets writes the configured targets where they differ from what is stored, and withdraws
// those that are configured no longer.
func writeTargets(ctx context.Context, conn driver.Conn, c *config.Config) error {
	wanted, err := targetsOf(c)
	if err != nil {
		return err
	}
	have, err := storedTargets(ctx, conn)
	if err != nil {
		return err
	}
	now := time.Now().UTC()
	write := func(t *target) error {
		err := conn.Exec(ctx, "INSERT INTO targets (kpi, segment, stat, baseline, target, change, days, "+
			"valid_from, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)", t.kpi, t.segment, t.stat,
			t.baseline, t.target, t.change, t.days, now, now)
		if err != nil {
			return fmt.Errorf("cannot write the target of %s: %w", t.kpi, err)
		}
		return nil
	}
	for i := range wanted {
		t := &wanted[i]
		if old, ok := have[t.key()]; !ok || old.text() != t.text() {
			if err := write(t); err != nil {
				return err
			}
		}
		delete(have, t.key())
	}
	for _, old := range have {
		if err := write(&target{kpi: old.kpi, segment: old.segment, stat: old.stat}); err != nil {
			return err
		}
	}
	return nil
}

// storedTargets are the targets in force.
func storedTargets(ctx context.Context, conn driver.Conn) (map[string]target, error) {
	rows, err := conn.Query(ctx, "SELECT kpi, segment, stat, baseline, target, change, days FROM targets_latest")
	if err != nil {
		return nil, fmt.Errorf("cannot read the targets: %w", err)
	}
	defer func() { _ = rows.Close() }()
	have := make(map[string]target)
	for rows.Next() {
		var t target
		err := rows.Scan(&t.kpi, &t.segment, &t.stat, &t.baseline, &t.target, &t.change, &t.days)
		if err != nil {
			return nil, fmt.Errorf("cannot read the targets: %w", err)
		}
		have[t.key()] = t
	}
	return have, rows.Err()
}
