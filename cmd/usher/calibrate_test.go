package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usher/cmd/usher/internal/config"
	"usher/features/classifier/accept"
)

// mixed are messages in two languages: the English ones right, the German ones wrong.
func mixed(t *testing.T) string {
	var b strings.Builder
	b.WriteString("text\tlabel\tlang\tchannel\n")
	for i := range 80 {
		fmt.Fprintf(&b, "How much does a haircut cost, number %d?\trequest\ten\tweb\n", i)
	}
	for i := range 20 {
		fmt.Fprintf(&b, "How much does a haircut cost, Nummer %d?\tdeal\tde\temail\n", i)
	}
	return write(t, "mixed.tsv", b.String())
}

func TestCalibratePrintsConfiguration(t *testing.T) {
	model, in := demoModel(t), mixed(t)
	block := call{args: []string{"calibrate", "--model", model, "--in", in}}.good(t).stdout
	file := write(t, "usher.yaml", block)
	c, err := config.Load(config.Options{File: file})
	if err != nil {
		t.Fatalf("%v\n%s", err, block)
	}
	th := c.Classifier.Thresholds
	off := func(what string, x config.Threshold, ok, want bool) {
		t.Helper()
		if got := x.Auto != nil && !*x.Auto; !ok || got != want {
			t.Errorf("%s: switched off %v, want %v\n%s", what, got, want, block)
		}
	}
	x, ok := th.Labels["request"]
	if !ok || (x.Auto == nil) == (x.AutoAt == nil) {
		t.Errorf("request is neither off nor has it a cut-off: %+v", x)
	}
	x, ok = th.Langs["en"].Labels["request"]
	off("request in English", x, ok, false) // 80 of 80
	if x.AutoAt == nil || *x.AutoAt < 0.5 {
		t.Errorf("request in English: %+v", x)
	}
	x, ok = th.Langs["de"].Labels["request"]
	off("request in German", x, ok, true) // 0 of 20
	// The block works: with it English is auto, German is not.
	r := call{args: []string{"classify", "--model", model, "--lang", "en", "--config", file},
		stdin: "How much does a haircut cost, number 3?\n"}.good(t)
	has(t, "English", r.stdout, `"band":"auto"`)
	r = call{args: []string{"classify", "--model", model, "--lang", "de", "--config", file},
		stdin: "How much does a haircut cost, number 3?\n"}.good(t)
	has(t, "German", r.stdout, `"band":"suggest","band_reason":"disabled"`)
}

func TestCurve(t *testing.T) {
	model, in := demoModel(t), mixed(t)
	svg := filepath.Join(t.TempDir(), "curve.svg")
	r := call{args: []string{"curve", "--model", model, "--in", in, "--svg", svg}}.good(t)
	has(t, "the table", r.stdout, "0.50  100    1.0000     0.8000", "precision (*)",
		"100 messages prove a precision of 95 %", "with at most 1 wrong")
	picture, err := os.ReadFile(svg)
	if err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(strings.NewReader(string(picture)))
	lines := 0
	for {
		tok, err := dec.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != 2 {
		t.Errorf("the picture has %d lines, want 2", lines)
	}
	var points []accept.Point
	r = call{args: []string{"curve", "--model", model, "--in", in, "--json"}}.good(t)
	if err := json.Unmarshal([]byte(r.stdout), &points); err != nil {
		t.Fatal(err)
	}
	if last := points[len(points)-1]; last.N != 100 || last.Precision != 0.8 || last.Coverage != 1 {
		t.Errorf("the curve ends at %+v", last)
	}
}

func TestEvalByAndGate(t *testing.T) {
	model, in := demoModel(t), mixed(t)
	gate := func(code int, want string, gates ...string) {
		t.Helper()
		args := []string{"eval", "--model", model, "--in", in}
		for _, g := range gates {
			args = append(args, "--gate", g)
		}
		r := call{args: args}.run(t)
		if r.code != code || !strings.Contains(r.err, want) {
			t.Errorf("%q: exit code %d, want %d; %s", gates, r.code, code, r.err)
		}
	}
	gate(exitDone, "", "accuracy>=0.8", "n<=100", "labels.request.recall>=1")
	gate(exitNotHeld, "accuracy>=0.81 (it is 0.8000)", "accuracy>=0.81")
	gate(exitNotHeld, "auto.low>=0.95", "accuracy>=0.8", "auto.low>=0.95")
	gate(exitNotHeld, "not known", "labels.claim.precision>=0.1")
	gate(exitUsage, "there is no \"accurracy\"", "accurracy>=0.8")
	gate(exitUsage, "is no condition", "accuracy")
	r := call{args: []string{"eval", "--model", model, "--in", in, "--by", "lang,channel", "--json"}}.good(t)
	var got struct {
		N  int
		By map[string]struct {
			N        int
			Accuracy float64
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatal(err)
	}
	if got.N != 100 || len(got.By) != 4 || got.By["lang en"].Accuracy != 1 || got.By["channel email"].N != 20 {
		t.Errorf("by: %+v", got)
	}
	r = call{args: []string{"eval", "--model", model, "--in", in, "--by", "lang"}}.good(t)
	has(t, "the text", r.stdout, "\nlang en\n", "100 messages prove")
}
