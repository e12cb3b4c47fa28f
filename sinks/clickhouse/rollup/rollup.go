// Package rollup keeps the cache of the daily views warm: it computes the daily rows of partitions
// that nothing is written into at present. What it does changes no number, see views.RollupTable: a
// keeper that stands still, is killed or runs twice makes boards slower and never wrong.
package rollup

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"

	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/views"
)

// Defaults of Config, and limits.
const (
	DefaultEvery = 10 * time.Second
	DefaultQuiet = 20 * time.Second
	// restFactor bounds what the keeper takes of the engine: after a pass it rests at least so many
	// times as long as the pass took.
	restFactor = 9
	// makeMax bounds the computing of one generation. What lies without a mark for longer than
	// abandonedAfter was given up, so its rows are cleared away.
	makeMax        = 10 * time.Minute
	abandonedAfter = time.Hour
	// clearEvery is how often rows that no longer count are cleared away.
	clearEvery = 10 * time.Minute
)

// Config says how eager the keeper is. Zero values mean the defaults.
type Config struct {
	Every time.Duration // between passes
	// Quiet is how long nothing must have been written into a partition: one that changes with
	// every insert would be stale again before a board has read it.
	Quiet time.Duration
}

// Deps are what the keeper works with.
type Deps struct {
	Conn driver.Conn
	// Leads reports whether this process is the one that keeps the roll-up; nil: it is.
	Leads func() bool
	Log   *slog.Logger          // nil discards
	Reg   prometheus.Registerer // nil registers nothing
	Now   func() time.Time      // nil: time.Now
}

// Keeper computes generations and clears away old ones.
type Keeper struct {
	cfg     Config
	deps    Deps
	made    *prometheus.CounterVec
	failed  prometheus.Counter
	changed map[string]change // by table and unit
	cleared time.Time
	fit     fitness
}

// fitness is whether the proof holds on the tables' engines.
type fitness uint8

const (
	unknown fitness = iota
	fit
	unfit
)

// change is when the newest insert of a partition was first seen.
type change struct {
	newest uint64
	at     time.Time
}

// stale is a partition whose daily rows are not proven.
type stale struct {
	unit   string
	newest uint64 // number of its newest insert
}

// New makes a keeper that does nothing until Run.
func New(cfg Config, deps Deps) *Keeper {
	if cfg.Every == 0 {
		cfg.Every = DefaultEvery
	}
	if cfg.Quiet == 0 {
		cfg.Quiet = DefaultQuiet
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Now == nil {
		deps.Now = time.Now
	}
	if deps.Leads == nil {
		deps.Leads = func() bool { return true }
	}
	k := &Keeper{cfg: cfg, deps: deps, changed: map[string]change{}}
	k.made = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "usher_rollup_made_total", Help: "Partitions whose daily rows were computed.",
	}, []string{"table"})
	k.failed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "usher_rollup_failures_total", Help: "Passes over the daily rows that failed.",
	})
	if deps.Reg != nil {
		_ = deps.Reg.Register(k.made)
		_ = deps.Reg.Register(k.failed)
	}
	return k
}

// Run makes passes until ctx ends. A pass that fails is made again: nothing depends on it.
func (k *Keeper) Run(ctx context.Context) error {
	rest := k.cfg.Every
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(rest):
		}
		rest = k.cfg.Every
		if !k.deps.Leads() {
			continue
		}
		begun := k.deps.Now()
		if err := k.Pass(ctx, k.cfg.Quiet); err != nil && ctx.Err() == nil {
			k.failed.Inc()
			k.deps.Log.Warn("rollup: daily rows are computed from the facts meanwhile", "error", err)
		}
		rest = max(rest, restFactor*k.deps.Now().Sub(begun))
	}
}

// Pass computes the partitions that are stale and have been quiet for that long since an earlier
// pass saw them; 0 computes all that are stale. Then it clears away what no longer counts.
func (k *Keeper) Pass(ctx context.Context, quiet time.Duration) error {
	if err := k.look(ctx); err != nil || k.fit == unfit {
		return err
	}
	for _, r := range views.Rollups() {
		units, err := k.stale(ctx, &r)
		if err != nil {
			return err
		}
		for _, u := range units {
			if !k.quiet(r.Table+u.unit, u.newest, quiet) {
				continue
			}
			if err := k.make(ctx, &r, u); err != nil {
				return err
			}
		}
	}
	if now := k.deps.Now(); now.Sub(k.cleared) >= clearEvery {
		k.cleared = now
		return k.Clear(ctx, abandonedAfter)
	}
	return nil
}

// Clear clears away generations that have a newer one, and what was begun longer than that ago and
// never finished.
func (k *Keeper) Clear(ctx context.Context, abandoned time.Duration) error {
	before := uint64(k.deps.Now().Add(-abandoned).UnixNano())
	if err := k.deps.Conn.Exec(ctx, views.ClearRollup(before)); err != nil {
		return fmt.Errorf("cannot clear away old daily rows: %w", err)
	}
	return nil
}

// look finds out, once, whether the facts lie in plain MergeTree tables: on replicated ones an insert
// with a lower number may become visible after one with a higher, and the proof would not see it.
func (k *Keeper) look(ctx context.Context) error {
	if k.fit != unknown {
		return nil
	}
	var names []string
	for _, r := range views.Rollups() {
		names = append(names, schema.Quote(r.Table))
	}
	var others uint64
	err := k.deps.Conn.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = currentDatabase() "+
		"AND name IN ("+strings.Join(names, ", ")+") AND engine NOT IN ('MergeTree', 'ReplacingMergeTree')",
	).Scan(&others)
	if err != nil {
		return fmt.Errorf("cannot look at the engines of the tables: %w", err)
	}
	k.fit = fit
	if others > 0 {
		k.fit = unfit
		k.deps.Log.Info("rollup: the tables are no plain MergeTree, so the daily views read the facts")
	}
	return nil
}

// quiet notes the newest insert of a partition and reports whether it has been the newest for long
// enough.
func (k *Keeper) quiet(key string, newest uint64, long time.Duration) bool {
	now := k.deps.Now()
	if c, ok := k.changed[key]; !ok || c.newest != newest {
		k.changed[key] = change{newest: newest, at: now}
	}
	return now.Sub(k.changed[key].at) >= long
}

func (k *Keeper) stale(ctx context.Context, r *views.Rollup) ([]stale, error) {
	rows, err := k.deps.Conn.Query(ctx, r.Stale())
	if err != nil {
		return nil, fmt.Errorf("cannot look for daily rows of %s that are stale: %w", r.Table, err)
	}
	defer func() { _ = rows.Close() }()
	var out []stale
	for rows.Next() {
		var s stale
		if err := rows.Scan(&s.unit, &s.newest); err != nil {
			return nil, fmt.Errorf("cannot look for daily rows of %s that are stale: %w", r.Table, err)
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// make computes one generation. Its number is the time, so that a later one is the newer; the last
// digits are drawn, so that two keepers never share one.
func (k *Keeper) make(ctx context.Context, r *views.Rollup, s stale) error {
	ctx, cancel := context.WithTimeout(ctx, makeMax)
	defer cancel()
	generation := uint64(k.deps.Now().UnixNano())/1000*1000 + rand.Uint64N(1000)
	for _, q := range r.Make(s.unit, s.newest, generation) {
		if err := k.deps.Conn.Exec(ctx, q); err != nil {
			return fmt.Errorf("cannot compute the daily rows of %s, partition %s: %w", r.Table, s.unit, err)
		}
	}
	delete(k.changed, r.Table+s.unit)
	k.made.WithLabelValues(r.Table).Inc()
	return nil
}
