package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"usher/features/classifier"
	"usher/features/classifier/accept"
	"usher/pipeline/route"
)

type acceptOptions struct {
	model, tenant, split, data string
	in, labels                 []string
	headOptions
	precision      float64
	dryRun, asJSON bool
}

func (a *app) acceptCommand() *cobra.Command {
	o := acceptOptions{}
	c := &cobra.Command{
		Use:   "accept MODEL --tenant T --in LABELLED",
		Short: "Let a model act alone where it has shown that it may",
		Long: `Count, on a tenant's own labelled messages (TSV, see usher train), how often the model is right
where its score reaches the cut-off, and accept each label whose precision is shown: the exact lower
95 % bound (Clopper-Pearson, one-sided) must reach --precision. 59 right out of 59 show 95 %, so do 92
out of 93. The result goes to ops_journal, where usher run reads it. It holds for 90 days, for this
version of the model, and at these cut-offs. Use a random sample that the model was not trained on.
Exit code 3: a label that was judged was refused, or none could be judged.`,
		Example: `  usher accept intent.usher --tenant salon7 --in labelled.tsv --precision 0.95
  usher accept intent.usher --tenant salon7 --in labelled.tsv --data ./usher-data --json
  usher accept intent.usher --tenant salon7 --in labelled.tsv --dry-run`,
		RunE: a.do(func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || o.tenant == "" || len(o.in) == 0 {
				return usagef("accept needs MODEL, --tenant T and --in FILE…")
			}
			if err := accept.CheckPrecision(o.precision); err != nil {
				return usagef("--%w", err)
			}
			if o.dryRun && o.data != "" {
				return usagef("--dry-run writes nothing; leave out --data")
			}
			o.model = args[0]
			return a.accept(cmd.Context(), o)
		}),
	}
	f := c.Flags()
	f.StringVar(&o.tenant, "tenant", "", "the `tenant` whose messages these are")
	f.StringSliceVar(&o.in, "in", nil, "labelled messages: TSV `file`s")
	f.StringVar(&o.split, "split", "", "use only the rows of this split")
	o.headOptions.flags(f)
	f.StringSliceVar(&o.labels, "label", nil, "judge only these labels (default: all)")
	f.Float64Var(&o.precision, "precision", 0.95, "the precision to show")
	f.StringVar(&o.data, "data", "", "data `directory` of an embedded store (default: the configured one)")
	f.BoolVar(&o.dryRun, "dry-run", false, "only print; write nothing")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object")
	return c
}

// acceptResult is what accept prints.
type acceptResult struct {
	Model     string           `json:"model"`
	Version   string           `json:"version"`
	Checksum  string           `json:"checksum"`
	Tenant    string           `json:"tenant"`
	Precision float64          `json:"precision"`
	Messages  int              `json:"messages"`
	Labels    []accept.Verdict `json:"labels"`
	ExpiresAt string           `json:"expires_at"`
	Recorded  bool             `json:"recorded"`
	Note      string           `json:"note,omitempty"`
}

func (a *app) accept(ctx context.Context, o acceptOptions) error {
	m, err := loadModelFile(o.model)
	if err != nil {
		return err
	}
	defer m.Close()
	head, err := a.choose(m, o.headOptions, o.tenant)
	if err != nil {
		return err
	}
	labels, cut := m.Heads()[head.at].Labels, head.cut
	for _, l := range o.labels {
		if !slices.Contains(labels, l) {
			return usagef("the model has no label %q; it has %s", l, strings.Join(labels, ", "))
		}
	}
	rows, err := readLabels(o.in, o.column)
	if err != nil {
		return err
	}
	messages, err := judgeRows(judging{Model: m, Head: head.at, Cutoffs: cut, Split: o.split}, rows)
	if err != nil {
		return err
	}
	now := time.Now()
	result := acceptResult{
		Model: m.Name(), Version: m.Version(), Checksum: m.Checksum(), Tenant: o.tenant,
		Precision: o.precision, Messages: len(messages), Note: fewDifferent(messages),
		ExpiresAt: now.Add(accept.LifeMS * time.Millisecond).UTC().Format(time.RFC3339),
	}
	for i, t := range tallies(labels, messages) {
		if len(o.labels) == 0 || slices.Contains(o.labels, labels[i]) {
			result.Labels = append(result.Labels, accept.Judge(t, o.precision))
		}
	}
	if !o.dryRun {
		if err := a.recordAccept(ctx, o, acceptEntries{m: m, chosen: head, result: &result, now: now}); err != nil {
			return err
		}
		result.Recorded = true
	}
	if o.asJSON {
		err = json.NewEncoder(a.out).Encode(result)
	} else {
		a.printAccept(&result)
	}
	if err != nil {
		return err
	}
	return result.held()
}

// tallies counts, per label, the messages that would have been acted on.
func tallies(labels []string, messages []judged) []accept.Tally {
	out := make([]accept.Tally, len(labels))
	for i, l := range labels {
		out[i].Label = l
	}
	for i := range messages {
		if x := &messages[i]; x.band == route.BandAuto {
			out[x.best].N++
			if x.right {
				out[x.best].Right++
			}
		}
	}
	return out
}

// acceptEntries are what the journal gets.
type acceptEntries struct {
	m *classifier.Model
	chosen
	result *acceptResult
	now    time.Time
}

// recordAccept writes one row for each label that was judged.
func (a *app) recordAccept(ctx context.Context, o acceptOptions, e acceptEntries) error {
	var entries []journalEntry
	head := e.m.Heads()[e.at]
	for _, v := range e.result.Labels {
		if v.N == 0 {
			continue
		}
		r := accept.Record{
			Model: e.m.Name(), Version: e.m.Version(), Checksum: e.m.Checksum(), Head: head.Name,
			Label: v.Label, Precision: o.precision, N: v.N, Right: v.Right, Low: v.Low,
			Gate: e.cut.Gate(slices.Index(head.Labels, v.Label)), Kind: accept.KindRefusal,
			Tenant: o.tenant, AtMS: e.now.UnixMilli(),
		}
		if v.Accepted {
			r.Kind, r.ExpiresMS = accept.KindAcceptance, r.AtMS+accept.LifeMS
		}
		entry, err := acceptEntry(r, a.cfg.Instance)
		if err != nil {
			return err
		}
		entries = append(entries, entry)
	}
	if len(entries) == 0 {
		return nil
	}
	s, closeStore, err := a.openStore(ctx, o.data)
	if err != nil {
		return err
	}
	defer closeStore()
	return writeJournal(ctx, s, entries)
}

// held is the exit code: a check that did not hold is 3.
func (r *acceptResult) held() error {
	var refused []string
	judged := 0
	for _, v := range r.Labels {
		if v.N == 0 {
			continue
		}
		judged++
		if !v.Accepted {
			refused = append(refused, v.Label)
		}
	}
	switch {
	case judged == 0:
		return notHeldf("no message reached the cut-off of a label: nothing is shown")
	case len(refused) > 0:
		return notHeldf("not shown to be right %g of the time: %s", r.Precision, strings.Join(refused, ", "))
	}
	return nil
}

func (a *app) printAccept(r *acceptResult) {
	fmt.Fprintf(a.out, "%s %s for tenant %s: %d messages, wanted precision %g\n",
		r.Model, r.Version, r.Tenant, r.Messages, r.Precision)
	t := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "label\tright\tof\tlower bound\t")
	for _, v := range r.Labels {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.4f\t%s\n", v.Label, v.Right, v.N, v.Low, verdictText(v))
	}
	_ = t.Flush()
	if r.Recorded {
		fmt.Fprintf(a.out, "Written to ops_journal; what is accepted holds until %s.\n", r.ExpiresAt)
	}
	if r.Note != "" {
		fmt.Fprintf(a.err, "note: %s\n", r.Note)
	}
}

func verdictText(v accept.Verdict) string {
	switch {
	case v.Accepted:
		return "accepted"
	case v.N == 0:
		return fmt.Sprintf("nothing reached the cut-off; %d right ones in a row would show it", v.Missing)
	}
	return fmt.Sprintf("refused: %d more, all right, would show it", v.Missing)
}
