package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// targetsQuery asks the view that boards read too.
const targetsQuery = `SELECT kpi, segment, stat, unit, days, n, actual, baseline, target, verdict
FROM target_results ORDER BY kpi, segment, stat`

type targetsOptions struct {
	data string
	json bool
}

func (a *app) targetsCommand() *cobra.Command {
	o := targetsOptions{}
	c := &cobra.Command{
		Use:   "targets",
		Short: "Each target beside what was reached, and whether it is met",
		Long: `Print every target of the configuration (targets; without any, those of the quick start: first reply
within 3 minutes, missed messages from 12 to 3 %, conversion up by 15 %, no more messages to close) with
the actual value of its last days up to yesterday, the baseline, and met, missed or no data. A baseline
that is not configured is the value of as many days before. The view target_results answers the same.`,
		Example: `  usher targets
  usher targets --data ./usher-data --json`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error { return a.targets(cmd, o) }),
	}
	c.Flags().StringVar(&o.data, "data", "", "data `directory` of an embedded store (default: the configured one)")
	c.Flags().BoolVar(&o.json, "json", false, "print one JSON object a target")
	return c
}

func (a *app) targets(cmd *cobra.Command, o targetsOptions) error {
	s, closeStore, err := a.openStore(cmd.Context(), o.data)
	if err != nil {
		return err
	}
	defer closeStore()
	rows, err := s.rows(cmd.Context(), targetsQuery, nil)
	if err != nil {
		return explain(err)
	}
	if len(rows) == 0 {
		fmt.Fprintln(a.err, "no target is in force: usher schema --apply writes those of the configuration")
		return nil
	}
	if o.json {
		names := []string{"kpi", "segment", "stat", "unit", "days", "n", "actual", "baseline", "target", "verdict"}
		out := json.NewEncoder(a.out)
		for _, r := range rows {
			object := make(map[string]any, len(names))
			for i, name := range names {
				object[name] = r[i]
			}
			if err := out.Encode(object); err != nil {
				return fmt.Errorf("cannot print a target: %w", err)
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "kpi\tsegment\tstat\tdays\tn\tactual\tbaseline\ttarget\tverdict")
	for _, r := range rows {
		unit := fmt.Sprint(r[3])
		fmt.Fprintf(w, "%v\t%v\t%v\t%v\t%v\t%s\t%s\t%s\t%v\n", r[0], r[1], r[2], r[4], r[5],
			inUnit(unit, r[6]), inUnit(unit, r[7]), inUnit(unit, r[8]), r[9])
	}
	return w.Flush()
}

// inUnit writes a value of a KPI: 12.5 %, 3m0s, 4.
func inUnit(unit string, v any) string {
	if v == nil {
		return "-"
	}
	f, err := strconv.ParseFloat(fmt.Sprint(v), 64)
	if err != nil {
		return fmt.Sprint(v)
	}
	switch unit {
	case "share":
		return strconv.FormatFloat(f*100, 'f', 1, 64) + " %"
	case "ms":
		return (time.Duration(f) * time.Millisecond).Round(time.Second).String()
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}
