package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"usher/sinks/clickhouse/rollup"
	"usher/sinks/clickhouse/views"
)

// meter asks questions and measures what they took.
type meter struct {
	conn driver.Conn
	o    *options
	pid  int // of the engine
	out  io.Writer
}

// cost is the time of each repeat, sorted, and the engine's processor time of one, on average.
type cost struct {
	seconds []float64
	cpu     float64
}

// measure warms the cache of the daily views and asks each KPI for each of the months by channel:
// its facts, its daily rows while every partition is quiet, and while the newest has just changed.
func (m *meter) measure(ctx context.Context) error {
	if err := m.warm(ctx); err != nil {
		return err
	}
	kpis := slices.DeleteFunc(views.KPIs(), func(k views.KPI) bool {
		return m.o.kpis != "" && !slices.Contains(strings.Split(m.o.kpis, ","), k.Name)
	})
	fmt.Fprintf(m.out, "\na month by channel: seconds p50 and p95, and processor seconds\n%-28s %26s %26s %26s %7s\n",
		"kpi", "facts", "daily, all quiet", "daily, newest changed", "ratio")
	quiet := map[string]cost{}
	for _, k := range kpis {
		if !k.HasDaily() {
			continue
		}
		c, err := m.ask(ctx, dailyOf(&k), k.View()+"_daily")
		if err != nil {
			return err
		}
		quiet[k.Name] = c
	}
	if err := m.touch(ctx); err != nil {
		return err
	}
	for _, k := range kpis {
		facts, err := m.ask(ctx, factsOf(&k), k.View())
		if err != nil {
			fmt.Fprintf(m.out, "%-28s %.60v\n", k.Name, err)
			continue
		}
		fmt.Fprintf(m.out, "%-28s %s", k.Name, facts)
		if k.HasDaily() {
			changed, err := m.ask(ctx, dailyOf(&k), k.View()+"_daily")
			if err != nil {
				return err
			}
			fmt.Fprintf(m.out, " %s %s %7.1f", quiet[k.Name], changed, facts.cpu/quiet[k.Name].cpu)
		}
		fmt.Fprintln(m.out)
	}
	return nil
}

func (c cost) String() string {
	return fmt.Sprintf("%8.3f %8.3f %8.3f", quantile(c.seconds, 0.5), quantile(c.seconds, 0.95), c.cpu)
}

func factsOf(k *views.KPI) string {
	if k.Form == views.Rate {
		return "sum(num) / sum(den), count()"
	}
	return "quantileExact(0.9)(value), count()"
}

func dailyOf(k *views.KPI) string {
	if k.Form == views.Rate {
		return "sum(num) / sum(den), sum(n)"
	}
	return "usherQuantile(0.9, sumMap(hist)), sum(n)"
}

// warm lets the keeper compute every partition, and says what that cost.
func (m *meter) warm(ctx context.Context) error {
	begun, cpu := time.Now(), m.cpu()
	if err := rollup.New(rollup.Config{}, rollup.Deps{Conn: m.conn}).Pass(ctx, 0); err != nil {
		return err
	}
	var rows, partitions uint64
	err := m.conn.QueryRow(ctx, "SELECT countIf(kpi != ''), countIf(kpi = '') FROM "+views.RollupTable).Scan(
		&rows, &partitions)
	fmt.Fprintf(m.out, "cache: %d rows of %d partitions, computed in %.1f s with %.1f processor seconds\n", rows,
		partitions, time.Since(begun).Seconds(), m.cpu()-cpu)
	return err
}

// touch writes into the newest partition of each table of facts, as traffic always does.
func (m *meter) touch(ctx context.Context) error {
	for _, r := range views.Rollups() {
		key := "_day"
		if r.Table == "conversations" {
			key = "_opened_month"
		}
		err := m.conn.Exec(ctx, fmt.Sprintf("INSERT INTO %[1]s SELECT * FROM %[1]s WHERE %[2]s = (SELECT max(%[2]s) "+
			"FROM %[1]s) LIMIT 1 SETTINGS insert_deduplicate = 0", r.Table, key))
		if err != nil {
			return err
		}
	}
	return nil
}

// ask is what each month took.
func (m *meter) ask(ctx context.Context, what, view string) (cost, error) {
	var c cost
	cpu := m.cpu()
	for range m.o.repeats {
		for ago := range m.o.months {
			q := fmt.Sprintf("SELECT channel, %s FROM %s WHERE day > today() - %d AND day <= today() - %d "+
				"GROUP BY channel ORDER BY channel FORMAT Null", what, view, 30*(ago+1), 30*ago)
			ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
			begun := time.Now()
			err := m.conn.Exec(ctx, q)
			cancel()
			if err != nil {
				return c, err
			}
			c.seconds = append(c.seconds, time.Since(begun).Seconds())
		}
	}
	slices.Sort(c.seconds)
	c.cpu = (m.cpu() - cpu) / float64(len(c.seconds))
	return c, nil
}

// cpu is the processor time that the engine has had, in seconds, where Linux tells it.
func (m *meter) cpu() float64 {
	const perSecond = 100 // USER_HZ
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.pid))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(stat, []byte(") "))
	fields := strings.Fields(string(rest))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return float64(user+system) / perSecond
}

func quantile(sorted []float64, p float64) float64 {
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}
