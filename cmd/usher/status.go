package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

const (
	statusEvery   = 2 * time.Second // of --watch
	statusTimeout = 10 * time.Second
	waitingDays   = 90 // older waits are nobody's any more
)

type statusOptions struct {
	data          string
	watch, asJSON bool
}

func (a *app) statusCommand() *cobra.Command {
	o := statusOptions{}
	c := &cobra.Command{
		Use:   "status",
		Short: "One screen: lag, oldest wait, balance, model, last commit",
		Long: `Show whether the service is ready, how far behind router and sink are, when the router committed
last, who waits longest, whether the last audit held and which model decides. What does not answer is
said and does not hide the rest. The exit code is 3 when the service is away or not ready, when Kafka or
the store does not answer, or when the balance does not hold.`,
		Example: `  usher status
  usher status --watch
  usher status --data ./usher-data --json`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error { return a.status(cmd.Context(), o) }),
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data `directory` of a demo (default: the configured service)")
	f.BoolVar(&o.watch, "watch", false, "show it again every 2 s until Ctrl-C")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return c
}

// statusReport is what `usher status --json` prints. Null: not known, its system did not answer or
// nothing came yet.
type statusReport struct {
	Service struct {
		Address string `json:"address"`
		State   string `json:"state"` // ready, not ready, away
		Reason  string `json:"reason,omitempty"`
	} `json:"service"`
	LagEvents  *int64       `json:"lag_events"`  // not routed yet
	LagBlocks  *int64       `json:"lag_blocks"`  // of rows, not stored yet
	LastCommit *time.Time   `json:"last_commit"` // of the router with rows
	Waiting    *int64       `json:"waiting"`     // conversations whose customer waits
	OldestMS   *int64       `json:"oldest_ms"`   // the longest of these waits
	Missing    *int64       `json:"missing"`     // of the last audit
	Duplicated *int64       `json:"duplicated"`  //
	AuditedAt  *time.Time   `json:"audited_at"`  //
	Model      *modelStatus `json:"model"`       // of the newest decision
	Problems   []string     `json:"problems"`
}

type modelStatus struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Checksum string `json:"checksum"`
	Mode     string `json:"mode"`
}

func (a *app) status(ctx context.Context, o statusOptions) error {
	v, err := a.openView(ctx, o.data)
	if err != nil {
		return err
	}
	defer v.close()
	for {
		r := v.look(ctx)
		if o.watch && isTerminal(a.out) && !o.asJSON {
			fmt.Fprint(a.out, "\x1b[H\x1b[2J")
		}
		if err := a.printStatus(r, o.asJSON); err != nil {
			return err
		}
		if !o.watch {
			return r.verdict()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(statusEvery):
		}
	}
}

// verdict is the error of a report that does not hold.
func (r *statusReport) verdict() error {
	if len(r.Problems) > 0 {
		return notHeldf("%s", strings.Join(r.Problems, "; "))
	}
	return nil
}

func (a *app) printStatus(r *statusReport, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.out).Encode(r)
	}
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(name, text string) { fmt.Fprintf(t, "%s\t%s\n", name, text) }
	service := r.Service.State
	if r.Service.Reason != "" {
		service += ": " + r.Service.Reason
	}
	line("service", service+" ("+r.Service.Address+")")
	line("lag", known(r.LagEvents, "%d events to route, ")+known(r.LagBlocks, "%d blocks of rows to store"))
	line("last commit", ago(r.LastCommit))
	switch {
	case r.Waiting == nil:
		line("waiting", "not known")
	case r.OldestMS == nil:
		line("waiting", "nobody")
	default:
		line("waiting", fmt.Sprintf("%d customers, the longest for %s", *r.Waiting, longest(*r.OldestMS)))
	}
	if r.AuditedAt == nil {
		line("balance", "not audited yet")
	} else {
		line("balance", known(r.Missing, "missing %d, ")+known(r.Duplicated, "duplicated %d")+
			"; audited "+ago(r.AuditedAt))
	}
	if r.Model == nil {
		line("model", "no decision yet")
	} else {
		line("model", fmt.Sprintf("%s, version %s, %s", r.Model.Name, r.Model.Version, r.Model.Mode))
	}
	return t.Flush()
}

// longest is a wait to the second, or in days where seconds say nothing.
func longest(ms int64) string {
	const day = 24 * time.Hour
	if d := time.Duration(ms) * time.Millisecond; d >= 3*day {
		return fmt.Sprintf("%d days", d/day)
	}
	return duration(&ms)
}

func known(n *int64, format string) string {
	if n == nil {
		return strings.Replace(format, "%d", "?", 1)
	}
	return fmt.Sprintf(format, *n)
}

func ago(at *time.Time) string {
	if at == nil {
		return "not known"
	}
	return fmt.Sprintf("%s UTC, %s ago", at.Format(time.DateTime), time.Since(*at).Round(time.Second))
}
