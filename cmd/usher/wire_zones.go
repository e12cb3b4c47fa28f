package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/schema"
)

// The span for which the store learns how far zones are from UTC: from the earliest time that an
// event may have.
var (
	zonesFrom  = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	zonesUntil = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)
)

// zoneSpan is a span in which a zone keeps its distance from UTC.
type zoneSpan struct{ fromMS, untilMS, offsetMS int64 }

// zoneSpans follows a zone's clocks through every change.
func zoneSpans(zone *time.Location) []zoneSpan {
	var out []zoneSpan
	for at := zonesFrom; at.Before(zonesUntil); {
		_, offset := at.In(zone).Zone()
		_, until := at.In(zone).ZoneBounds()
		if until.IsZero() || until.After(zonesUntil) {
			until = zonesUntil
		}
		if !until.After(at) {
			// By a zone's rule for years to come, time's bounds of a leap year's last day are empty.
			until = at.Add(24 * time.Hour)
		}
		next := zoneSpan{at.UnixMilli(), until.UnixMilli(), int64(offset) * 1000}
		if n := len(out); n > 0 && out[n-1].offsetMS == next.offsetMS {
			out[n-1].untilMS = next.untilMS
		} else {
			out = append(out, next)
		}
		at = until
	}
	return out
}

// writeZones writes the tenants' zones where their clocks differ from what is stored.
func writeZones(ctx context.Context, conn driver.Conn, c *config.Config) error {
	var zones []string
	for name := range c.Tenants {
		zones = append(zones, c.Tenant(name).Zone)
	}
	slices.Sort(zones)
	for _, name := range slices.Compact(zones) {
		zone, err := time.LoadLocation(name)
		if err != nil {
			return fmt.Errorf("cannot load zone %q: %w", name, err)
		}
		spans := zoneSpans(zone)
		have, err := storedZone(ctx, conn, name)
		if err != nil {
			return err
		}
		if slices.Equal(have, spans) {
			continue
		}
		batch, err := conn.PrepareBatch(ctx, "INSERT INTO "+schema.TableZoneOffsets)
		if err != nil {
			return fmt.Errorf("cannot write zone %s: %w", name, err)
		}
		now := time.Now().UTC()
		for _, s := range spans {
			err := batch.Append(name, time.UnixMilli(s.fromMS), time.UnixMilli(s.untilMS), s.offsetMS, now)
			if err != nil {
				return fmt.Errorf("cannot write zone %s: %w", name, err)
			}
		}
		if err := batch.Send(); err != nil {
			return fmt.Errorf("cannot write zone %s: %w", name, err)
		}
	}
	return nil
}

// storedZone are the newest spans that the store has of a zone.
func storedZone(ctx context.Context, conn driver.Conn, name string) ([]zoneSpan, error) {
	rows, err := conn.Query(ctx, "SELECT toUnixTimestamp64Milli(from_at), toUnixTimestamp64Milli(until_at), "+
		"offset_ms FROM zone_offsets FINAL WHERE zone = $1 AND updated_at = "+
		"(SELECT max(updated_at) FROM zone_offsets WHERE zone = $1) ORDER BY from_at", name)
	if err != nil {
		return nil, fmt.Errorf("cannot read zone %s: %w", name, err)
	}
	defer func() { _ = rows.Close() }()
	var out []zoneSpan
	for rows.Next() {
		var s zoneSpan
		if err := rows.Scan(&s.fromMS, &s.untilMS, &s.offsetMS); err != nil {
			return nil, fmt.Errorf("cannot read zone %s: %w", name, err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// writeKPISettings writes the configured parts of KPI definitions where they differ.
func writeKPISettings(ctx context.Context, conn driver.Conn, c *config.Config) error {
	var within []string
	for _, y := range c.ServiceLevel.Within {
		within = append(within, fmt.Sprint(y.Std().Milliseconds()))
	}
	wanted := map[string][]string{
		"service_level_within_ms": within,
		"short_abandon_ms":        {fmt.Sprint(c.ServiceLevel.ShortAbandon.Std().Milliseconds())},
	}
	rows, err := conn.Query(ctx, "SELECT toString(name), argMax(values, (valid_from, updated_at)) "+
		"FROM kpi_settings GROUP BY name")
	if err != nil {
		return fmt.Errorf("cannot read the KPI settings: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name string
		var values []string
		if err := rows.Scan(&name, &values); err != nil {
			return fmt.Errorf("cannot read the KPI settings: %w", err)
		}
		if slices.Equal(wanted[name], values) {
			delete(wanted, name)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("cannot read the KPI settings: %w", err)
	}
	now := time.Now().UTC()
	for name, values := range wanted {
		err := conn.Exec(ctx, "INSERT INTO kpi_settings (name, values, valid_from, updated_at) VALUES "+
			"($1, $2, $3, $4)", name, values, now, now)
		if err != nil {
			return fmt.Errorf("cannot write KPI setting %s: %w", name, err)
		}
	}
	return nil
}
