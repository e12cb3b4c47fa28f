package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"usher/pipeline/analyze"
	"usher/pipeline/source/jsonl"
)

// agentsShown is how many agents the text lists; --json has them all.
const agentsShown = 10

type analyzeOptions struct {
	model  string
	asJSON bool
}

func (a *app) analyzeCommand() *cobra.Command {
	o := analyzeOptions{}
	c := &cobra.Command{
		Use:   "analyze PATH…",
		Short: "Response times of files of events, without any server",
		Long: `Take files of events (JSON lines, plain, .gz or .zst, directories of them, - is standard input)
through the same pipeline as "usher run", each conversation sorted first, and print the figures by
the same definitions as the KPI views. Nothing is stored and nothing has to be installed. A figure whose
events never came is not known, never 0. Foreign files: "usher import" makes events of them.`,
		Example: `  usher analyze events.jsonl
  usher analyze january.jsonl.gz february.jsonl.gz --json | jq .first_reply_p90_ms`,
		Args: someArgs("at least one file of events, as in: usher analyze events.jsonl"),
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			return a.analyze(cmd.Context(), o, args)
		}),
	}
	c.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON object")
	c.Flags().StringVar(&o.model, "model", "", "decide with this model's `file`")
	return c
}

// eventFile is the name of a file that a directory is searched for.
var eventFile = regexp.MustCompile(`\.(jsonl|ndjson)(\.gz|\.zst)?$`)

// eventFiles replaces directories by the files of events below them, in the order of their names.
func eventFiles(paths []string) ([]string, error) {
	var out []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if path == "-" || err == nil && !info.IsDir() {
			out = append(out, path)
			continue
		}
		if err != nil {
			return nil, usagef("cannot open the input: %w", err)
		}
		before := len(out)
		err = filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && eventFile.MatchString(file) {
				out = append(out, file)
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("cannot read the directory: %w", err)
		}
		if len(out) == before {
			return nil, usagef("%s holds no .jsonl or .ndjson file, plain, .gz or .zst", path)
		}
	}
	return out, nil
}

func (a *app) analyze(ctx context.Context, o analyzeOptions, paths []string) error {
	files, err := eventFiles(paths)
	if err != nil {
		return err
	}
	line, lc, err := a.localLine(o.model)
	if err != nil {
		return err
	}
	bar := a.newProgress("reading", filesBytes(files), true)
	defer bar.done()
	shown := 0
	report, err := analyze.Files(ctx, analyze.Config{
		Line: line, State: lc.State, NowMS: time.Now().UnixMilli(),
		OnBytes: func(n int) { bar.add(int64(n)) },
		OnBad: func(b jsonl.Bad) {
			if shown++; shown <= badLinesShown {
				fmt.Fprintln(a.err, b.String())
			}
		},
	}, files)
	bar.done()
	if err != nil {
		return err
	}
	if o.asJSON {
		enc := json.NewEncoder(a.out)
		enc.SetEscapeHTML(false)
		return enc.Encode(report)
	}
	a.printAnalysis(report)
	return nil
}

func (a *app) printAnalysis(r *analyze.Report) {
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	spread := func(name string, median, p90 *int64) {
		line(name, "median %s, p90 %s", duration(median), duration(p90))
	}
	line("conversations", "%d (%d cycles, %d events)", r.Conversations, r.Cycles, r.Events)
	line("set aside", "%d dead letters, %d duplicates, %d late, %d replies dated before their question",
		r.DeadLetters, r.Duplicates, r.Late, r.Skewed)
	line("unanswered", "%d, %s", r.Unanswered, percent(r.UnansweredRate))
	spread("first reply by a person", r.FirstReplyMedianMS, r.FirstReplyP90MS)
	spread("first reply by anyone", r.FirstReplyAnyMedianMS, r.FirstReplyAnyP90MS)
	spread("next reply", r.NextReplyMedianMS, r.NextReplyP90MS)
	line("missed", "%s", percent(r.MissedRate))
	line("dropped", "%s", percent(r.DroppedRate))
	line("escalation rate", "%s", percent(r.EscalationRate))
	line("conversion rate", "%s", percent(r.ConversionRate))
	line("satisfaction", "%s", percent(r.SatisfactionRate))
	line("decisions", "%d auto, %d suggest, %d none (auto as if the model had been accepted)",
		r.Decisions.Auto, r.Decisions.Suggest, r.Decisions.None)
	_ = t.Flush()
	if len(r.PerAgent) > 0 {
		fmt.Fprintf(t, "\nagent\tfirst replies\tmedian\tp90\tlater replies\tmedian\tp90\n")
		for _, x := range r.PerAgent[:min(agentsShown, len(r.PerAgent))] {
			fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%d\t%s\t%s\n", x.AgentID, x.FirstReplies,
				duration(x.FirstReplyMedianMS), duration(x.FirstReplyP90MS), x.NextReplies,
				duration(x.NextReplyMedianMS), duration(x.NextReplyP90MS))
		}
		_ = t.Flush()
		if more := len(r.PerAgent) - agentsShown; more > 0 {
			fmt.Fprintf(a.out, "and %d more (--json lists all)\n", more)
		}
	}
	for _, note := range append(append([]string{}, r.Lossy...), r.Guessed...) {
		fmt.Fprintf(a.out, "note: %s\n", note)
	}
}
