package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"usher/features/classifier/labels"
)

type labelsImport struct {
	format, out, report, annotator, tenant string
}

func (a *app) labelsImportCommand() *cobra.Command {
	o := labelsImport{}
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Turn labels into events",
		Long: `Read labels and print label events, one JSON object a line, for usher produce.

csv: what usher labels export wrote, with the column label filled; rows without a label are left out.
line: the answers of a prompt, one a line:
  CONVERSATION⇥TARGET⇥intent:[запись]; sentiment:[negative]; recommended_action:[уточнение]
Brackets are optional, case does not matter, English names are taken too. TARGET is the event id of the
message. With TEXT⇥intent:[…]… the result is no events but a TSV for usher train.
What is not understood goes to the report (standard error, or --report) and nowhere else.`,
		Example: `  usher labels import todo.csv --annotator ann | usher produce --input -
  usher labels import answers.txt --format line --report rejected.txt --out labels.jsonl`,
		RunE: a.do(func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("labels import needs one FILE")
			}
			if o.format != "csv" && o.format != "line" {
				return usagef("--format must be csv or line, got %q", o.format)
			}
			return a.importLabels(o, args[0])
		}),
	}
	f := c.Flags()
	f.StringVar(&o.format, "format", "csv", "csv or line")
	f.StringVar(&o.out, "out", "", "write to a `file` (default: standard output)")
	f.StringVar(&o.report, "report", "", "write what is not understood to a `file`")
	f.StringVar(&o.annotator, "annotator", "", "who labelled, where a row does not say")
	f.StringVar(&o.tenant, "tenant", "", "whose messages, where a row does not say")
	return c
}

// labelRow is one label that was read.
type labelRow struct{ tenant, conversation, target, head, label, annotator string }

// importedLabels is what a file held: labels, or texts for training, and what was not understood.
type importedLabels struct {
	rows     []labelRow
	train    []string // lines of a TSV
	rejected []string
}

func (a *app) importLabels(o labelsImport, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return usagef("cannot open the labels: %w", err)
	}
	defer f.Close()
	var in importedLabels
	if o.format == "csv" {
		err = in.readCSV(f)
	} else {
		err = in.readLines(f)
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", file, err)
	}
	if len(in.rows) > 0 && len(in.train) > 0 {
		return fmt.Errorf("cannot read %s: some lines name a target and some a text; use one form", file)
	}
	var b strings.Builder
	if len(in.train) > 0 {
		b.WriteString("text\tlabel\tsentiment\trecommended_action\n" + strings.Join(in.train, "\n") + "\n")
	}
	now := time.Now().UnixMilli()
	for _, r := range in.rows {
		line, err := r.event(o, now)
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	if err := a.deliverText(o.out, a.out, b.String()); err != nil {
		return err
	}
	if err := a.deliverText(o.report, a.err, strings.Join(append(in.rejected, ""), "\n")); err != nil {
		return err
	}
	fmt.Fprintf(a.err, "%d labels, %d texts, %d lines rejected\n", len(in.rows), len(in.train), len(in.rejected))
	return nil
}

// deliverText writes to a file, or to w when no file is named.
func (a *app) deliverText(file string, w io.Writer, text string) error {
	if file != "" {
		return replaceFile(file, []byte(text))
	}
	_, err := io.WriteString(w, text)
	return err
}

// event is the label as an event of CONTRACT section 2. The id follows from what it says, so a file
// that is imported twice gives the same ids.
func (r *labelRow) event(o labelsImport, nowMS int64) ([]byte, error) {
	if r.annotator == "" {
		r.annotator = o.annotator
	}
	if r.tenant == "" {
		r.tenant = o.tenant
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{r.tenant, r.conversation, r.target, r.head, r.label,
		r.annotator}, "\x00")))
	payload := map[string]string{"target": r.target, "label": r.label}
	for key, value := range map[string]string{"head": r.head, "annotator": r.annotator} {
		if value != "" {
			payload[key] = value
		}
	}
	ev := map[string]any{"v": 1, "id": "label-" + hex.EncodeToString(sum[:12]), "type": "label",
		"time": nowMS, "conversation_id": r.conversation, "label": payload}
	if r.tenant != "" {
		ev["tenant"] = r.tenant
	}
	b, err := json.Marshal(ev)
	if err != nil {
		return nil, fmt.Errorf("cannot make a label event: %w", err)
	}
	return b, nil
}

func (in *importedLabels) reject(line int, why string) {
	in.rejected = append(in.rejected, fmt.Sprintf("line %d: %s", line, why))
}

func (in *importedLabels) readCSV(r io.Reader) error {
	c := csv.NewReader(r)
	c.FieldsPerRecord = -1
	header, err := c.Read()
	if err != nil {
		return fmt.Errorf("the first line must name the columns: %w", err)
	}
	header[0] = strings.TrimPrefix(header[0], "\uFEFF") // a spreadsheet's
	at := map[string]int{}
	for _, name := range labelColumns {
		at[name] = slices.Index(header, name)
	}
	if at["target"] < 0 || at["conversation_id"] < 0 || at["label"] < 0 {
		return errors.New("the first line must name the columns target, conversation_id and label")
	}
	for {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		cell := func(name string) string {
			if i := at[name]; i >= 0 && i < len(row) {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		line, _ := c.FieldPos(0)
		x := labelRow{cell("tenant"), cell("conversation_id"), cell("target"), cell("head"), cell("label"),
			cell("annotator")}
		switch {
		case x.label == "":
		case x.target == "" || x.conversation == "":
			in.reject(line, "target or conversation_id is missing")
		default:
			in.rows = append(in.rows, x)
		}
	}
}

// labelLineMax bounds one line of the line format.
const labelLineMax = 1 << 20

func (in *importedLabels) readLines(r io.Reader) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, labelLineMax)
	for n := 1; sc.Scan(); n++ {
		if strings.TrimSpace(sc.Text()) == "" {
			continue
		}
		cells := strings.Split(sc.Text(), "\t")
		given, err := labels.ParseLine(cells[len(cells)-1])
		switch {
		case err != nil:
			in.reject(n, err.Error())
		case len(cells) == 2 && strings.TrimSpace(cells[0]) != "":
			in.train = append(in.train, trainingLine(cells[0], given))
		case len(cells) == 3 && strings.TrimSpace(cells[0]) != "" && strings.TrimSpace(cells[1]) != "":
			for _, g := range given {
				in.rows = append(in.rows, labelRow{conversation: strings.TrimSpace(cells[0]),
					target: strings.TrimSpace(cells[1]), head: g.Head, label: g.Label})
			}
		default:
			in.reject(n, "which message? write CONVERSATION, TARGET and the labels, or TEXT and the labels, "+
				"separated by tabs")
		}
	}
	return sc.Err()
}

// trainingLine is a row for usher train; its label is the intent.
func trainingLine(text string, given []labels.Given) string {
	of := func(head string) string {
		for _, g := range given {
			if g.Head == head {
				return g.Label
			}
		}
		return ""
	}
	return strings.Join([]string{strings.TrimSpace(text), of(labels.Intent), of(labels.Sentiment),
		of(labels.Action)}, "\t")
}
