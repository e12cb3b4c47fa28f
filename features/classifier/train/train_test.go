package train

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/eval"
)

// made writes messages whose label is told by one of five words among filler.
func made(n int) []corpus.Row {
	rng := rand.New(rand.NewPCG(1, 2))
	filler := strings.Fields("the my your please hello some any with for about this that today again")
	topics := map[string][]string{"buy": strings.Fields("order purchase book reserve subscribe"),
		"ask": strings.Fields("price hours where how which"),
		"bad": strings.Fields("broken refund angry lost failed")}
	labels := []string{"buy", "ask", "bad"}
	var rows []corpus.Row
	for i := range n {
		label := labels[rng.IntN(3)]
		words := []string{topics[label][rng.IntN(5)]}
		for range 3 + rng.IntN(6) {
			words = append(words, filler[rng.IntN(len(filler))])
		}
		rng.Shuffle(len(words), func(i, j int) { words[i], words[j] = words[j], words[i] })
		rows = append(rows, corpus.Row{Text: strings.Join(words, " ") + fmt.Sprint(" n", i), Label: label})
	}
	return rows
}

func quick() Config {
	cfg := Default("test")
	cfg.Epochs = 6
	cfg.Members, cfg.Refit = 1, false
	return cfg
}

func run(t testing.TB, cfg Config, rows []corpus.Row) (*Result, *classifier.Model) {
	t.Helper()
	res, err := Run(cfg, rows)
	if err != nil {
		t.Fatal(err)
	}
	m, err := classifier.FromBytes(res.File)
	if err != nil {
		t.Fatal(err)
	}
	return res, m
}

func TestLearns(t *testing.T) {
	res, m := run(t, quick(), made(900))
	r, err := eval.Run(m, res.HeldOut, eval.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if r.Accuracy < 0.97 {
		t.Errorf("accuracy %v on held-out messages", r.Accuracy)
	}
	q := m.Heads()[0].Quality
	if q.On != "held-out slice" || q.N != len(res.HeldOut) || q.Accuracy != r.Accuracy || q.ECE != r.ECE ||
		q.AutoCoverage != r.Bands["auto"].Coverage {
		t.Errorf("the file says %+v, measured %+v", q, r)
	}
	rep := res.Report
	if rep.Rows != 900 || rep.Used+rep.Calibrated+rep.HeldOut != 900 || rep.HeldOut < 60 ||
		rep.Calibrated < 60 || rep.Kept > rep.Features || rep.Kept < rep.Features/2 ||
		rep.Labels["buy"]+rep.Labels["ask"]+rep.Labels["bad"] != rep.Used {
		t.Errorf("%+v", rep)
	}
	if diff := cmp.Diff([]string{"ask", "bad", "buy"}, m.Heads()[0].Labels); diff != "" {
		t.Error(diff)
	}
	if m.Name() != "test" || len(m.Version()) != 12 || m.Heads()[0].Temperature == 1 {
		t.Errorf("%s %s T %v", m.Name(), m.Version(), m.Heads()[0].Temperature)
	}
}

func TestDeterministic(t *testing.T) {
	rows := made(300)
	first, _ := run(t, quick(), rows)
	before := runtime.GOMAXPROCS(1)
	one, _ := run(t, quick(), rows)
	runtime.GOMAXPROCS(before)
	if !bytes.Equal(first.File, one.File) {
		t.Error("the number of cores changes the file")
	}
	f := func(name string, change func(*Config)) {
		t.Helper()
		cfg := quick()
		change(&cfg)
		if res, _ := run(t, cfg, rows); bytes.Equal(res.File, first.File) {
			t.Errorf("%s does not change the file", name)
		}
	}
	f("another seed", func(c *Config) { c.Seed++ })
	f("another hash seed", func(c *Config) { c.Features.Seed++ })
	f("another rate", func(c *Config) { c.Rate = 0.5 })
	f("no dropout", func(c *Config) { c.Dropout = 0 })
	f("more epochs", func(c *Config) { c.Epochs++ })
	f("once is enough", func(c *Config) { c.MinCount = 1 })
	f("no temperature", func(c *Config) { c.Calibrate = 0 })
}

func divided(t *testing.T, cfg Config, rows []corpus.Row) (*parts, Report) {
	t.Helper()
	var rep Report
	p, err := divide(&cfg, rows, &rep)
	if err != nil {
		t.Fatal(err)
	}
	return p, rep
}

func TestGroupsStayTogether(t *testing.T) {
	cfg := quick()
	cfg.Holdout, cfg.Calibrate = 0.3, 0.3
	var rows []corpus.Row
	for g := range 200 {
		for i := range 4 {
			rows = append(rows, corpus.Row{Text: fmt.Sprint("w", g, " v", i), Label: "a", Group: fmt.Sprint(g)})
		}
	}
	p, _ := divided(t, cfg, rows)
	at := map[string]int{}
	for i, part := range [][]corpus.Row{p.fit, p.calibrate, p.holdout} {
		if len(part) < 150 || len(part)%4 != 0 {
			t.Errorf("part %d has %d rows", i, len(part))
		}
		for _, r := range part {
			if was, ok := at[r.Group]; ok && was != i {
				t.Fatalf("group %s lies on two sides", r.Group)
			}
			at[r.Group] = i
		}
	}
	slices.Reverse(rows)
	again, _ := divided(t, cfg, rows)
	if len(again.fit) != len(p.fit) || at[again.holdout[0].Group] != 2 {
		t.Error("the order of the rows decides their side")
	}
}

func TestBothSides(t *testing.T) {
	cfg := quick()
	cfg.Holdout, cfg.Calibrate, cfg.Split = 0, 0, "train"
	p, rep := divided(t, cfg, []corpus.Row{
		{Text: "Hello there!", Label: "a", Split: "train"},
		{Text: "hello   THERE !", Label: "b", Split: "test"}, // the same to the features
		{Text: "hello there?", Label: "a", Split: "train"},
		{Text: "…", Label: "a", Split: "train"},
		{Text: "other", Label: "a", Split: "dev"},
	})
	if len(p.fit) != 1 || p.fit[0].Text != "hello there?" || rep.BothSides != 1 || rep.OtherSplit != 2 ||
		rep.Blank != 1 {
		t.Errorf("%+v %+v", p.fit, rep)
	}
	// The same text in two groups that fall on different sides stays only where quality is measured.
	cfg.Split, cfg.Holdout = "", 0.5
	var rows []corpus.Row
	for g := range 50 {
		rows = append(rows, corpus.Row{Text: "same text", Label: "a", Group: fmt.Sprint(g)},
			corpus.Row{Text: fmt.Sprint("own ", g), Label: "a", Group: fmt.Sprint(g)})
	}
	p, rep = divided(t, cfg, rows)
	for _, r := range p.fit {
		if r.Text == "same text" {
			t.Fatal("a held-out text is trained on")
		}
	}
	if rep.BothSides == 0 || rep.BothSides+len(p.fit)+len(p.holdout) != 100 {
		t.Errorf("%+v", rep)
	}
}

func TestRedactsFirst(t *testing.T) {
	rows := made(200)
	for i := range rows {
		rows[i].Text += " secret" + rows[i].Label
	}
	calls := 0
	cfg := quick()
	cfg.Redact = func(text []byte) []byte {
		calls++
		before, _, _ := bytes.Cut(text, []byte(" secret"))
		return append(before, " mask"...)
	}
	res, m := run(t, cfg, rows)
	if calls != len(rows) || strings.Contains(res.HeldOut[0].Text, "secret") {
		t.Errorf("%d calls for %d rows", calls, len(rows))
	}
	x, err := features.New(m.Features())
	if err != nil {
		t.Fatal(err)
	}
	var v features.Vector
	out := m.NewScores()
	known := func(text string) float64 {
		x.Fill([]byte(text), nil, &v)
		m.Score(&v, out)
		return out.KnownShare
	}
	if a, b := known("secretbuy"), known("mask"); a > 0.2 || b < 0.5 {
		t.Errorf("known share %v of what was masked, %v of the mask", a, b)
	}
	if !strings.Contains(rows[0].Text, "secret") {
		t.Error("the caller's rows were changed")
	}
}

func TestProgress(t *testing.T) {
	cfg := quick()
	var seen []string
	cfg.Progress = func(p Progress) { seen = append(seen, fmt.Sprint(p.Stage, p.Done, "/", p.Total)) }
	run(t, cfg, made(100))
	want := "train1/6 train2/6 train3/6 train4/6 train5/6 train6/6 compile0/1 compile1/1"
	if got := strings.Join(seen, " "); got != want {
		t.Error(got)
	}
}

func TestErrors(t *testing.T) {
	f := func(want string, rows []corpus.Row, change func(*Config)) {
		t.Helper()
		cfg := quick()
		change(&cfg)
		if _, err := Run(cfg, rows); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	rows := made(50)
	f("the model needs a name", rows, func(c *Config) { c.Name = "" })
	f("0 epochs", rows, func(c *Config) { c.Epochs = 0 })
	f("rate NaN", rows, func(c *Config) { c.Rate = math.NaN() })
	f("min_count 0", rows, func(c *Config) { c.MinCount = 0 })
	f("dropout 1,", rows, func(c *Config) { c.Dropout = 1 })
	f("leave a tenth to train on", rows, func(c *Config) { c.Holdout, c.Calibrate = 0.5, 0.5 })
	f("word_max 0", rows, func(c *Config) { c.Features.WordMax = 0 })
	f("none of 0 rows is left", nil, same)
	f("none of 50 rows is left to train on (50 in another split", rows, func(c *Config) { c.Split = "x" })
	f("have 1 labels; give at least 2", []corpus.Row{{Text: "a b", Label: "x"}}, func(c *Config) {
		c.Holdout, c.Calibrate = 0, 0
	})
}

// TestGradient: one step without dropout moves every weight against the numerical derivative of the
// loss, by the step that AdaGrad allows.
func TestGradient(t *testing.T) {
	cfg := quick()
	cfg.Dropout = 0
	s := &set{keys: make([]uint64, 4), truth: []int32{1},
		docs: []doc{{ids: []int32{0, 2, 3}, counts: []uint8{1, 2, 1}, norm: 0.4}}}
	rng := rand.New(rand.NewPCG(3, 3))
	start := make([]float32, 4*3)
	for i := range start {
		start[i] = float32(rng.NormFloat64())
	}
	loss := func(w []float32) float64 {
		logits := []float64{0, 0, 0}
		for n, id := range s.docs[0].ids {
			for c := range logits {
				logits[c] += float64(w[int(id)*3+c]) * 0.4 * float64(s.docs[0].counts[n])
			}
		}
		total := 0.0
		for _, l := range logits {
			total += math.Exp(l)
		}
		return math.Log(total) - logits[1]
	}
	tr := newTrainer(&cfg, s, 3, 1)
	copy(tr.w, start)
	if got, want := tr.step(0, 0.1), loss(start); math.Abs(got-want) > 1e-5 {
		t.Errorf("loss %v, want %v", got, want)
	}
	for row := range 4 {
		gradient, square := [3]float64{}, 0.0
		for c := range 3 {
			const h = 1e-3
			up, down := slices.Clone(start), slices.Clone(start)
			up[row*3+c] += h
			down[row*3+c] -= h
			gradient[c] = (loss(up) - loss(down)) / float64(up[row*3+c]-down[row*3+c])
			square += gradient[c] * gradient[c]
		}
		for c := range 3 {
			want := float64(start[row*3+c])
			if square > 0 {
				want -= 0.1 * gradient[c] / math.Sqrt(square+epsilon)
			}
			if got := float64(tr.w[row*3+c]); math.Abs(got-want) > 1e-3 {
				t.Errorf("weight %d,%d is %v, want %v", row, c, got, want)
			}
		}
	}
}

func TestDropout(t *testing.T) {
	d := doc{norm: 0.5, ids: make([]int32, 1000), counts: bytes.Repeat([]byte{2}, 1000)}
	tr := dropper{rng: rand.New(rand.NewPCG(1, 1))}
	total := 0
	for range 100 {
		ids, _ := tr.drop(&d, 0.25)
		total += len(ids)
	}
	if share := float64(total) / 1e5; math.Abs(share-0.75) > 0.01 {
		t.Errorf("%.3f of the features are left, wanted 0.75", share)
	}
	if got := float64(tr.values[0]) * 0.75; math.Abs(got-1) > 1e-6 {
		t.Errorf("what is left does not make up for it: %v", got)
	}
}

func TestCompileSteps(t *testing.T) {
	w := &weights{labels: 3, bias: []float32{1, 2, 3},
		w: []float32{1, 2, 6, 0, 0, 0, -3, 0, 3, 0.001, 0, -0.001}}
	centre(w)
	if diff := cmp.Diff([]float32{-2, -1, 3, 0, 0, 0, -3, 0, 3}, w.w[:9]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]float32{-1, 0, 1}, w.bias); diff != "" {
		t.Error(diff)
	}
	if got := prune(w, 0); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("nothing to prune: %v", got)
	}
	if got := prune(w, 2); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("the two largest: %v", got)
	}
	scale := scaleOf(w)
	if math.Abs(scale-3.0/127) > 1e-9 {
		t.Errorf("scale %v", scale)
	}
	line := make([]int8, 4)
	if !quantise(w.w[:3], scale, line) || !slices.Equal(line, []int8{-85, -42, 127, 0}) {
		t.Errorf("quantised %v", line)
	}
	if quantise(w.w[9:], scale, line) {
		t.Error("a row of nothing is kept")
	}
	if scaleOf(&weights{}) != 1 {
		t.Error("no weights have no scale")
	}
}

func TestMaxRows(t *testing.T) {
	cfg := quick()
	cfg.MaxRows = 40
	res, m := run(t, cfg, made(400))
	if res.Report.Kept != 40 || m.Rows() != 40 || m.Heads()[0].Quality.Accuracy < 0.7 {
		t.Errorf("%d rows kept, quality %+v", m.Rows(), m.Heads()[0].Quality)
	}
}

// TestTemperature: the one that is found is as good as the best of a fine grid, and logits that are
// too large by a factor get that factor back.
func TestTemperature(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	var logits [][]float64
	var truth []int
	const factor = 3.0
	for range 4000 {
		row := []float64{rng.NormFloat64(), rng.NormFloat64(), rng.NormFloat64()}
		total, at := 0.0, rng.Float64()
		for _, l := range row {
			total += math.Exp(l)
		}
		label := 0
		for at -= math.Exp(row[0]) / total; at > 0 && label < 2; at -= math.Exp(row[label]) / total {
			label++
		}
		for c := range row {
			row[c] *= factor
		}
		logits, truth = append(logits, row), append(truth, label)
	}
	l := &likelihood{logits: logits, truth: truth}
	got := l.likeliest()
	if math.Abs(got-factor) > 0.25 {
		t.Errorf("temperature %v, wanted about %v", got, factor)
	}
	best := l.surprise(got)
	for x := 0.3; x < 30; x *= 1.01 {
		if l.surprise(x) < best-1e-6*best {
			t.Errorf("%v is better than %v", x, got)
		}
	}
}

// TestTemperatureWithoutErrors: a slice on which no answer was wrong, as where rows come from
// templates, shows no more certainty than its size: on average 1 − 1/(n+2), softmax and one against
// the rest alike.
func TestTemperatureWithoutErrors(t *testing.T) {
	for _, n := range []int{20, 200, 2000} {
		l := &likelihood{}
		for i := range n {
			row := []float64{0, 0, 0}
			row[i%3] = 5 + float64(i%7)
			l.logits, l.truth = append(l.logits, row), append(l.truth, i%3)
		}
		temperature := l.likeliest()
		sure := 0.0
		for i, row := range l.logits {
			sure += 1 / (1 + 2*math.Exp(-row[l.truth[i]]/temperature)) / float64(n)
		}
		if doubt := (1 - sure) * float64(n+2); doubt < 0.5 || doubt > 2 {
			t.Errorf("%d rows: T %v makes %v sure, want about %v", n, temperature, sure, 1-1/float64(n+2))
		}
		each := &likelihood{each: true, logits: l.logits, truth: l.truth}
		if got := each.likeliest(); got < 0.5 {
			t.Errorf("%d rows, one against the rest: T %v", n, got)
		}
	}
}

func TestWithoutSlices(t *testing.T) {
	cfg := quick()
	cfg.Holdout, cfg.Calibrate = 0, 0
	_, m := run(t, cfg, made(200))
	if h := m.Heads()[0]; h.Temperature != 1 || h.Quality.N != 0 || h.KnownTypical != 0 {
		t.Errorf("%+v", h)
	}
	cfg.Calibrate = 0.2
	_, m = run(t, cfg, made(200))
	if q := m.Heads()[0].Quality; q.On != "calibration slice" || q.N < 20 {
		t.Errorf("%+v", q)
	}
}

// TestCalibration recomputes temperature and typical share from the calibration slice.
func TestCalibration(t *testing.T) {
	rows := made(500)
	_, m := run(t, quick(), rows)
	p, _ := divided(t, quick(), rows)
	x, err := features.New(m.Features())
	if err != nil {
		t.Fatal(err)
	}
	var v features.Vector
	out := m.NewScores()
	var logits [][]float64
	var truth []int
	var shares []float64
	for _, r := range p.calibrate {
		x.Fill([]byte(r.Text), nil, &v)
		m.Score(&v, out)
		logits = append(logits, slices.Clone(out.Heads[0].Logits()))
		truth = append(truth, slices.Index(m.Heads()[0].Labels, r.Label))
		shares = append(shares, out.KnownShare)
	}
	slices.Sort(shares)
	h := m.Heads()[0]
	l := &likelihood{logits: logits, truth: truth}
	if h.Temperature != l.likeliest() || h.KnownTypical != shares[len(shares)/2] {
		t.Errorf("T %v and share %v, want %v and %v", h.Temperature, h.KnownTypical,
			l.likeliest(), shares[len(shares)/2])
	}
}

// TestSchedule walks the epochs by hand: the rate falls from the first to nothing, and the weights
// are the mean over the last third.
func TestSchedule(t *testing.T) {
	cfg := quick()
	cfg.Epochs = 7
	p := &parts{fit: made(60), labels: []string{"ask", "bad", "buy"}}
	s := newSet(&cfg, p, p.fit, span{})
	got, _ := descend(newTrainer(&cfg, s, 3, 5), 60, 7, cfg.Rate, func(float64) {})
	tr := newTrainer(&cfg, s, 3, 5)
	order := make([]int, 60)
	for i := range order {
		order[i] = i
	}
	mean := make([]float64, len(tr.w))
	for epoch := range 7 {
		tr.rng.Shuffle(60, func(i, j int) { order[i], order[j] = order[j], order[i] })
		for n, i := range order {
			tr.step(i, float32(cfg.Rate*(1-float64(epoch*60+n)/420)))
		}
		if epoch >= 4 {
			for i, x := range tr.w {
				mean[i] += float64(x) / 3
			}
		}
	}
	for i, want := range mean {
		if math.Abs(float64(got.w[i])-want) > 1e-4 {
			t.Fatalf("weight %d is %v, want %v", i, got.w[i], want)
		}
	}
}

func TestSeenOnceIsDropped(t *testing.T) {
	cfg := quick()
	cfg.Features.CharMax, cfg.Features.WordMax = 0, 1
	p := &parts{labels: []string{"a", "b"}, fit: []corpus.Row{{Text: "one two two", Label: "a"},
		{Text: "one three", Label: "b"}, {Text: "one four three", Label: "b"}}}
	f := func(least int, want ...int) {
		t.Helper()
		cfg.MinCount = least
		s := newSet(&cfg, p, p.fit, span{})
		var got []int
		for _, d := range s.docs {
			got = append(got, len(d.ids))
		}
		if !slices.Equal(got, want) || !slices.Equal(s.truth, []int32{0, 1, 1}) {
			t.Errorf("at least %d: %v features a message, want %v", least, got, want)
		}
		// Length counts what was dropped too, as scoring does.
		if norm := float64(s.docs[2].norm); math.Abs(norm-1/math.Sqrt(3)) > 1e-6 {
			t.Errorf("length %v", norm)
		}
	}
	f(1, 2, 2, 3)
	f(2, 1, 2, 2)
	f(3, 1, 1, 1)
}
