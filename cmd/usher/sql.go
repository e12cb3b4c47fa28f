package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/cmd/usher/internal/config"
)

// The formats that `usher sql` asks for unless told otherwise.
const (
	formatTerminal = "PrettyCompactMonoBlock"
	formatPipe     = "TabSeparatedWithNames"
)

type sqlOptions struct {
	data, format, kpi, since string
	by                       []string
	formatGiven              bool
}

func (a *app) sqlCommand() *cobra.Command {
	o := sqlOptions{}
	c := &cobra.Command{
		Use:   "sql [QUERY|-]",
		Short: "Ask the store; without a query, list the views and what they mean",
		Long: `Run SQL on the embedded store of a data directory, also while "usher demo" runs on it, or on the
configured ClickHouse. Without a query the views are listed with their definitions. "-" reads the
query from standard input. --kpi writes the right query for a KPI view, prints it, and answers it.
The format is any of ClickHouse's; a FORMAT in the query goes first.`,
		Example: `  usher sql --data ./usher-data
  usher sql --data ./usher-data "SELECT channel, count() FROM events GROUP BY channel"
  usher sql --kpi first_reply_human --by channel --since 7d
  usher sql --format JSONEachRow "SELECT * FROM turns_latest LIMIT 5"`,
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			o.formatGiven = cmd.Flags().Changed("format")
			return a.sql(cmd.Context(), o, args)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data `directory` of an embedded store (default: the configured one)")
	f.StringVar(&o.format, "format", "", "output `format` of ClickHouse (default "+formatTerminal+
		" on a terminal, else "+formatPipe+")")
	f.StringVar(&o.kpi, "kpi", "", "answer one KPI `view`, with or without its kpi_")
	f.StringSliceVar(&o.by, "by", nil, "with --kpi: columns to group by")
	f.StringVar(&o.since, "since", "", "with --kpi: how far back, as 7d, 24h or 2026-11-01")
	return c
}

func (a *app) sql(ctx context.Context, o sqlOptions, args []string) error {
	query, err := a.sqlText(o, args)
	if err != nil {
		return err
	}
	if o.format == "" {
		o.format = formatPipe
		if isTerminal(a.out) {
			o.format = formatTerminal
		}
	}
	s, closeStore, err := a.openStore(ctx, o.data)
	if err != nil {
		return err
	}
	defer closeStore()
	if o.kpi != "" {
		if query, err = kpiQuery(ctx, s, o); err != nil {
			return err
		}
		// Whoever asks for a format reads the answer by machine.
		if o.formatGiven {
			fmt.Fprintln(a.err, query)
		} else {
			fmt.Fprintf(a.out, "%s\n\n", query)
		}
	}
	body, err := s.query(ctx, query, o.format, nil)
	if err != nil {
		return explain(err)
	}
	defer body.Close()
	if _, err := io.Copy(a.out, body); err != nil {
		return fmt.Errorf("cannot read the answer: %w", err)
	}
	return nil
}

// viewsQuery lists what can be asked; a view's comment is its definition.
const viewsQuery = `SELECT name AS view, comment AS definition FROM system.tables
WHERE database = currentDatabase() AND engine LIKE '%View%' AND name NOT LIKE '.%' AND comment != ''
ORDER BY NOT startsWith(name, 'kpi_'), name`

// sqlText returns the query that the arguments ask for; "" with --kpi.
func (a *app) sqlText(o sqlOptions, args []string) (string, error) {
	switch {
	case o.kpi != "" && len(args) > 0:
		return "", usagef("--kpi writes the query itself; leave out %q", args[0])
	case o.kpi == "" && (len(o.by) > 0 || o.since != ""):
		return "", usagef("--by and --since belong to --kpi")
	case o.kpi != "":
		return "", nil
	case len(args) == 0:
		return viewsQuery, nil
	case len(args) == 1 && args[0] == "-":
		text, err := io.ReadAll(a.in)
		if err != nil {
			return "", fmt.Errorf("cannot read the query from standard input: %w", err)
		}
		return string(text), nil
	}
	if strings.TrimSpace(strings.Join(args, "")) == "" {
		return "", usagef("the query is empty")
	}
	return strings.Join(args, " "), nil
}

// kpiQuery writes the question for a KPI view in the form of CONTRACT section 4.
func kpiQuery(ctx context.Context, s *store, o sqlOptions) (string, error) {
	view := "kpi_" + strings.TrimPrefix(o.kpi, "kpi_")
	rows, err := s.rows(ctx, "SELECT table, name FROM system.columns WHERE database = "+
		"currentDatabase() AND startsWith(table, 'kpi_') ORDER BY table, position", nil)
	if err != nil {
		return "", explain(err)
	}
	columns := map[string][]string{}
	for _, r := range rows {
		if len(r) == 2 {
			table, name := fmt.Sprint(r[0]), fmt.Sprint(r[1])
			columns[table] = append(columns[table], name)
		}
	}
	if len(columns[view]) == 0 {
		return "", usagef("there is no %s in %s%s; \"usher sql\" lists the views", view, s.where,
			nearest(view, columns))
	}
	for _, column := range o.by {
		if !slices.Contains(columns[view], column) {
			return "", usagef("%s has no column %q; it has %s", view, column,
				strings.Join(columns[view], ", "))
		}
	}
	since, err := sinceCondition(o.since)
	if err != nil {
		return "", err
	}
	return composeKPI(view, columns[view], o.by, since), nil
}

// composeKPI writes the query; every name in it was found in the store.
func composeKPI(view string, columns, by []string, since string) string {
	const rate = "sum(num) AS n, sum(den) AS d, round(sum(num) / sum(den), 4) AS rate"
	const spread = "count(value) AS n, quantileExact(0.5)(value) AS p50, " +
		"quantileExact(0.9)(value) AS p90, round(avg(value)) AS mean"
	measure := spread
	switch {
	case view == "kpi_volume":
		measure = "sum(value) AS n"
	case slices.Contains(columns, "den"):
		measure = rate
	}
	query := "SELECT " + strings.Join(append(slices.Clone(by), measure), ", ") + " FROM " + view
	if since != "" {
		query += " WHERE " + since
	}
	if len(by) > 0 {
		list := strings.Join(by, ", ")
		query += " GROUP BY " + list + " ORDER BY " + list
	}
	return query
}

// sinceCondition turns 7d, 24h or a date into a condition on a KPI view.
func sinceCondition(since string) (string, error) {
	if since == "" {
		return "", nil
	}
	if _, err := time.Parse(time.DateOnly, since); err == nil {
		return "day >= '" + since + "'", nil
	}
	d, err := config.ParseDuration(since)
	if err != nil || d <= 0 {
		return "", usagef("--since takes a length of time or a date, as 7d, 24h or 2026-11-01, got %q",
			since)
	}
	const day = 24 * time.Hour
	if d.Std()%day == 0 {
		return fmt.Sprintf("day >= today() - %d", d.Std()/day), nil
	}
	return fmt.Sprintf("counted_at >= now() - INTERVAL %d SECOND", int64(d.Std()/time.Second)), nil
}

// nearest says which KPI may have been meant.
func nearest(view string, known map[string][]string) string {
	best, most := "", 0
	for name := range known {
		n := 0
		for n < len(name) && n < len(view) && name[n] == view[n] {
			n++
		}
		if n > most || n == most && name < best {
			best, most = name, n
		}
	}
	if best == "" {
		return ""
	}
	return " (near: " + best + ")"
}

// explain adds the way out to the errors of an empty store.
func explain(err error) error {
	var s *serverError
	if errors.As(err, &s) && (s.code == codeUnknownTable || s.code == codeUnknownDatabase) {
		return fmt.Errorf("%w\nIf the schema is not there yet: usher schema --apply", err)
	}
	return err
}
