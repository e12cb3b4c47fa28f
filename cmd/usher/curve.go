package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"usher/features/classifier/accept"
)

func (a *app) curveCommand() *cobra.Command {
	o := measureOptions{}
	var svg, label string
	var asJSON bool
	c := &cobra.Command{
		Use:   "curve --model MODEL --in FILE…",
		Short: "Show what a cut-off costs: coverage against precision",
		Long: `For every cut-off: how many messages reach it, how many of those are right, and the exact lower 95 %
bound of that share. On a terminal a picture stands below the numbers; --svg writes one to a file.`,
		Example: `  usher curve --model intent.usher --in labelled.tsv
  usher curve --model intent.usher --in labelled.tsv --label claim --svg claim.svg
  usher curve --model intent.usher --in labelled.tsv --json | jq -r '.[]|[.auto_at,.coverage,.precision]|@tsv'`,
		RunE: a.do(func(_ *cobra.Command, args []string) error {
			if err := o.check("curve", args); err != nil {
				return err
			}
			m, _, messages, err := a.judge(&o)
			if err != nil {
				return err
			}
			defer m.Close()
			var scored []accept.Scored
			for i := range messages {
				if x := &messages[i]; label == "" || x.label == label {
					scored = append(scored, accept.Scored{Score: x.score, Right: x.right})
				}
			}
			if len(scored) == 0 {
				return usagef("no message got the label %q; the model has %s", label,
					strings.Join(m.Heads()[0].Labels, ", "))
			}
			points := accept.Curve(scored)
			if svg != "" {
				if err := replaceFile(svg, []byte(curveSVG(points))); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(a.out).Encode(points)
			}
			printCurve(a.out, points)
			return nil
		}),
	}
	o.flags(c)
	f := c.Flags()
	f.StringVar(&label, "label", "", "only messages that got this label")
	f.StringVar(&svg, "svg", "", "write the picture to a `file`")
	f.BoolVar(&asJSON, "json", false, "print every point as JSON")
	return c
}

// cutoffsShown are the rows of the table.
var cutoffsShown = [...]float64{0.99, 0.98, 0.97, 0.95, 0.93, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0}

func printCurve(w io.Writer, points []accept.Point) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "auto_at\tn\tcoverage\tprecision\tlower bound\t")
	total := points[len(points)-1].N
	for _, at := range cutoffsShown {
		p := pointAt(points, at)
		if p.N == 0 {
			fmt.Fprintf(t, "%.2f\t0\t0.0000\t-\t-\t\n", at)
			continue
		}
		fmt.Fprintf(t, "%.2f\t%d\t%.4f\t%.4f\t%.4f\t\n", at, p.N, p.Coverage, p.Precision, p.Low)
	}
	_ = t.Flush()
	fmt.Fprintf(w, "\n%s%s\n", curvePicture(points), sampleSentence(total))
}

// pointAt is what a cut-off takes; points fall.
func pointAt(points []accept.Point, at float64) (out accept.Point) {
	for _, p := range points {
		if p.AutoAt >= at {
			out = p
		}
	}
	return out
}

// The picture on a terminal: precision from the lowest that occurs to 1, upwards, over coverage.
const pictureWidth, pictureHeight = 60, 12

func curvePicture(points []accept.Point) string {
	low := lowestPrecision(points)
	cells := make([][]byte, pictureHeight)
	for i := range cells {
		cells[i] = []byte(strings.Repeat(" ", pictureWidth))
	}
	put := func(coverage, precision float64, mark byte) {
		x := min(pictureWidth-1, int(coverage*pictureWidth))
		y := int(math.Round((1 - precision) / (1 - low) * (pictureHeight - 1)))
		if y >= 0 && y < pictureHeight {
			cells[y][x] = mark
		}
	}
	for _, p := range points {
		put(p.Coverage, p.Low, '.')
	}
	for _, p := range points {
		put(p.Coverage, p.Precision, '*')
	}
	var b strings.Builder
	fmt.Fprintf(&b, "precision (*) and its lower bound (.) over coverage\n")
	for i, row := range cells {
		fmt.Fprintf(&b, "%.3f |%s\n", 1-(1-low)*float64(i)/(pictureHeight-1), strings.TrimRight(string(row), " "))
	}
	fmt.Fprintf(&b, "      +%s\n       0%s1\n", strings.Repeat("-", pictureWidth),
		strings.Repeat(" ", pictureWidth-2))
	return b.String()
}

// lowestPrecision is the lower end of the picture, below 1.
func lowestPrecision(points []accept.Point) float64 {
	low := 0.99
	for _, p := range points {
		low = min(low, p.Precision)
	}
	return math.Floor(low*100) / 100
}

// curveSVG draws the same in a file that stands alone.
func curveSVG(points []accept.Point) string {
	const width, height, margin = 640, 400, 50
	low := lowestPrecision(points)
	x := func(coverage float64) float64 { return margin + coverage*(width-2*margin) }
	y := func(precision float64) float64 {
		return margin + min(1, (1-precision)/(1-low))*(height-2*margin)
	}
	var precision, bound strings.Builder
	for _, p := range points {
		fmt.Fprintf(&precision, "%.1f,%.1f ", x(p.Coverage), y(p.Precision))
		fmt.Fprintf(&bound, "%.1f,%.1f ", x(p.Coverage), y(p.Low))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" `+
		`font-size="12"><rect width="100%%" height="100%%" fill="white"/>`, width, height)
	for i := range 6 {
		share := float64(i) / 5
		value := low + (1-low)*share
		fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%[3]f" stroke="#ddd"/>`+
			`<text x="%d" y="%.1f" text-anchor="end">%.3f</text>`, margin, width-margin, y(value), margin-6,
			y(value)+4, value)
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%.1f</text>`, x(share), height-margin+18, share)
	}
	fmt.Fprintf(&b, `<polyline fill="none" stroke="#999" stroke-dasharray="4" points="%s"/>`, bound.String())
	fmt.Fprintf(&b, `<polyline fill="none" stroke="#06c" stroke-width="2" points="%s"/>`, precision.String())
	fmt.Fprintf(&b, `<text x="%d" y="%d">precision (dashed: lower 95 %% bound) over coverage, %d messages</text></svg>`,
		margin, margin/2, points[len(points)-1].N)
	return b.String() + "\n"
}

// sampleSentence says what a sample of this size proves.
func sampleSentence(n int) string {
	const wanted = 0.95
	errors := 0
	for accept.Needed(errors+1, wanted, accept.Alpha) <= n {
		errors++
	}
	if accept.Needed(0, wanted, accept.Alpha) > n {
		return fmt.Sprintf("%d messages prove no precision of 95 %%, even if all are right: that takes 59.", n)
	}
	return fmt.Sprintf("%d messages prove a precision of 95 %% (exact, one-sided, 95 %% sure) with at most "+
		"%d wrong; 100 to 300 are a check of sanity, not a proof: it takes 59 with 0 wrong, 93 with 1, "+
		"153 with 3, 208 with 5, 336 with 10.", n, errors)
}
