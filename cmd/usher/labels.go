package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usher/features/classifier/labels"
)

type labelsOptions struct {
	data, since string
	head        string
	n           int
	seed        uint64
	asJSON      bool
}

func (a *app) labelsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "labels list|export|import|agreement",
		Short: "Choose messages to label, bring labels in, see how far annotators agree",
		Long: `list shows the decisions that are most worth labelling: those that people disagree about, a random
fifth (so that the labelled sample still says something about all), and the smallest margins. export
writes them as CSV with empty columns label and annotator; import turns a filled file into label events
for usher produce; agreement prints Cohen's kappa of every two annotators.`,
		Example: `  usher labels list --n 20
  usher labels export --n 200 > todo.csv
  usher labels import todo.csv --annotator ann | usher produce --input -
  usher labels agreement`,
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("there is no usher labels %s; use list, export, import or agreement", args[0])
			}
			return cmd.Help()
		}),
	}
	c.AddCommand(a.labelsListCommand(false), a.labelsListCommand(true), a.labelsImportCommand(),
		a.agreementCommand())
	return c
}

func (a *app) labelsListCommand(export bool) *cobra.Command {
	o := labelsOptions{}
	c := &cobra.Command{
		Use: "list", Short: "Show what is most worth labelling", Args: noArgs,
		Example: `  usher labels list --n 20 --since 7d --data ./usher-data`,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			todo, err := a.worthLabelling(cmd.Context(), o)
			if err != nil {
				return err
			}
			if export {
				return a.exportLabels(todo, o.head)
			}
			a.printLabels(todo)
			return nil
		}),
	}
	if export {
		c.Use, c.Short = "export", "Write what is most worth labelling as CSV"
		c.Example = `  usher labels export --n 200 --data ./usher-data > todo.csv`
	}
	f := c.Flags()
	f.StringVar(&o.data, "data", "", "data `directory` of an embedded store (default: the configured one)")
	f.IntVar(&o.n, "n", 50, "how many")
	f.StringVar(&o.since, "since", "", "how far back, as 7d or 2026-11-01 (default: all)")
	f.Uint64Var(&o.seed, "seed", 1, "of the random fifth")
	f.StringVar(&o.head, "head", "", "for this head: sentiment or urgency (default: the one that decides)")
	return c
}

// todo is one message to label.
type todo struct {
	tenant, conversation, decision, target, predicted, score, margin, why, text string
}

// labelsMax bounds one list.
const labelsMax = 100_000

// worth is where decisions keep what a head said, and how sure it was; the smaller the last is, the
// more a label would tell.
type worth struct{ label, score, margin string }

// worthOf knows the heads that decisions keep an answer of; "" is the one that decides.
func worthOf(head string) (worth, error) {
	switch head {
	case "":
		return worth{"label", "score", "margin"}, nil
	case "sentiment", "urgency":
		return worth{head + "_label", head + "_score", head + "_score"}, nil
	}
	return worth{}, usagef("--head must be sentiment or urgency, or left out; got %q", head)
}

// headCondition picks the labels of the head in question; one that names no head is about the head
// that decides.
const headCondition = `if({head:String} = '', head NOT IN ('sentiment', 'urgency'), head = {head:String})`

// openDecisions are those that nobody has labelled for the head.
const openDecisions = `(tenant, trigger_event_id) NOT IN (SELECT tenant, target FROM labels
        WHERE type = 'label' AND ` + headCondition + `)
    AND ({head:String} != '' OR
        id NOT IN (SELECT decision_id FROM labels WHERE decision_id != '' AND given_label != ''))`

// disputed are decisions that were rejected without a better label, or that annotators disagree about.
const disputedDecisions = `({head:String} = '' AND id IN (SELECT decision_id FROM labels GROUP BY decision_id HAVING decision_id != ''
        AND max(verdict = 'rejected') AND max(given_label) = '')
    OR (tenant, trigger_event_id) IN (SELECT tenant, target FROM labels WHERE type = 'label'
        AND ` + headCondition + ` GROUP BY tenant, target, head HAVING uniqExact(given_label) > 1))`

// worthLabelling chooses n decisions: up to two fifths disputed, a random fifth, the rest by margin.
func (a *app) worthLabelling(ctx context.Context, o labelsOptions) ([]todo, error) {
	if o.n < 1 || o.n > labelsMax {
		return nil, usagef("--n must lie between 1 and %d", labelsMax)
	}
	w, err := worthOf(o.head)
	if err != nil {
		return nil, err
	}
	since, err := sinceCondition(o.since)
	if err != nil {
		return nil, err
	}
	since = strings.Replace(since, "counted_at", "time", 1)
	if since == "" {
		since = "1"
	}
	s, closeStore, err := a.openStore(ctx, o.data)
	if err != nil {
		return nil, err
	}
	defer closeStore()
	var out []todo
	seen := map[string]bool{}
	for _, part := range []struct {
		why, where, order string
		upTo              int
	}{
		{"disagreement", disputedDecisions, "time DESC, id", (2*o.n + 4) / 5},
		{"random", openDecisions, "cityHash64(id, {seed:UInt64})", (o.n + 4) / 5},
		{"margin", openDecisions, w.margin + ", id", o.n},
	} {
		rows, err := s.rows(ctx, "SELECT tenant, conversation_id, id, trigger_event_id, "+w.label+", toString("+
			w.score+"), toString("+w.margin+") FROM decisions WHERE "+since+" AND "+w.label+
			" IS NOT NULL AND "+part.where+" ORDER BY "+part.order+" LIMIT {n:UInt32}", map[string]string{
			"head": o.head, "n": strconv.Itoa(part.upTo + len(out)), "seed": strconv.FormatUint(o.seed, 10),
		})
		if err != nil {
			return nil, fmt.Errorf("cannot choose messages: %w", explain(err))
		}
		taken := 0
		for _, r := range rows {
			cell := func(i int) string { return fmt.Sprint(r[i]) }
			if seen[cell(2)] || len(out) == o.n || taken == part.upTo {
				continue
			}
			seen[cell(2)] = true
			taken++
			out = append(out, todo{
				tenant: cell(0), conversation: cell(1), decision: cell(2), target: cell(3), predicted: cell(4),
				score: cell(5), margin: cell(6), why: part.why,
			})
		}
	}
	return out, addTexts(ctx, s, out)
}

// addTexts fills in the redacted texts, where they are stored at all (privacy.store_text).
func addTexts(ctx context.Context, s *store, list []todo) error {
	quoted := make([]string, len(list))
	for i := range list {
		quoted[i] = "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\t", `\t`, "\n", `\n`).Replace(list[i].target) + "'"
	}
	rows, err := s.rows(ctx, "SELECT tenant, conversation_id, id, text FROM events WHERE text != '' AND "+
		"id IN {ids:Array(String)}", map[string]string{"ids": "[" + strings.Join(quoted, ",") + "]"})
	if err != nil {
		return fmt.Errorf("cannot read the texts: %w", explain(err))
	}
	texts := map[[3]string]string{}
	for _, r := range rows {
		texts[[3]string{fmt.Sprint(r[0]), fmt.Sprint(r[1]), fmt.Sprint(r[2])}] = fmt.Sprint(r[3])
	}
	for i := range list {
		x := &list[i]
		x.text = texts[[3]string{x.tenant, x.conversation, x.target}]
	}
	return nil
}

func (a *app) printLabels(list []todo) {
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "why\ttenant\tconversation\tdecision\tpredicted\tscore\tmargin\ttext")
	for _, x := range list {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%.80q\n", x.why, x.tenant, x.conversation, x.decision,
			x.predicted, x.score, x.margin, x.text)
	}
	_ = t.Flush()
	if len(list) > 0 && !slices.ContainsFunc(list, func(x todo) bool { return x.text != "" }) {
		fmt.Fprintln(a.err, "note: no text is stored (privacy.store_text); look the messages up by conversation")
	}
}

// labelColumns are those of the CSV; the last two are for the annotator to fill.
var labelColumns = [...]string{"target", "tenant", "conversation_id", "decision_id", "predicted", "score",
	"margin", "why", "text", "head", "label", "annotator"}

func (a *app) exportLabels(list []todo, head string) error {
	w := csv.NewWriter(a.out)
	_ = w.Write(labelColumns[:]) // the writer keeps its first error
	for _, x := range list {
		_ = w.Write([]string{x.target, x.tenant, x.conversation, x.decision, x.predicted, x.score, x.margin,
			x.why, x.text, head, "", ""})
	}
	w.Flush()
	return w.Error()
}

func (a *app) agreementCommand() *cobra.Command {
	o := labelsOptions{}
	c := &cobra.Command{
		Use: "agreement", Short: "Print Cohen's kappa of every two annotators", Args: noArgs,
		Example: `  usher labels agreement --data ./usher-data --json`,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			s, closeStore, err := a.openStore(cmd.Context(), o.data)
			if err != nil {
				return err
			}
			defer closeStore()
			rows, err := s.rows(cmd.Context(), "SELECT concat(tenant, ' ', conversation_id, ' ', target), head, "+
				"annotator, given_label FROM labels WHERE type = 'label' AND annotator != '' ORDER BY time", nil)
			if err != nil {
				return fmt.Errorf("cannot read the labels: %w", explain(err))
			}
			var all []labels.Judgement
			for _, r := range rows {
				all = append(all, labels.Judgement{Target: fmt.Sprint(r[0]), Head: fmt.Sprint(r[1]),
					Annotator: fmt.Sprint(r[2]), Label: fmt.Sprint(r[3])})
			}
			list := labels.Agreements(all)
			if o.asJSON {
				return json.NewEncoder(a.out).Encode(append([]labels.Agreement{}, list...))
			}
			t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
			fmt.Fprintln(t, "head\tannotators\tn\tsame\tkappa")
			for _, g := range list {
				fmt.Fprintf(t, "%s\t%s, %s\t%d\t%.4f\t%.4f\n", g.Head, g.A, g.B, g.N, g.Observed, g.Kappa)
			}
			return t.Flush()
		}),
	}
	c.Flags().StringVar(&o.data, "data", "", "data `directory` of an embedded store (default: the configured one)")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print a JSON list")
	return c
}
