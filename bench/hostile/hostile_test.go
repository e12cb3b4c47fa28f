package hostile

import (
	"os"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"usher/features/classifier/demo"
	"usher/pipeline"
	"usher/pipeline/route"
)

const corpusDir = "../../pipeline/event/testdata/fuzz/FuzzDecode"

// recordsDefault is what an ordinary test run throws; make hostile RECORDS=n sets USHER_HOSTILE_RECORDS.
const recordsDefault = 20_000

// lineConfig is a line as a process has it: with the model in the binary and texts stored.
func lineConfig(t *testing.T) pipeline.LineConfig {
	t.Helper()
	model, err := demo.Model()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = model.Close() })
	cuts, err := route.NewCutoffs(model.Heads()[0].Labels, route.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return pipeline.LineConfig{
		Key: []byte("a test key that is long enough"), StoreText: true, Model: model, Mode: route.Live,
		Cutoffs: map[string]*route.Cutoffs{"": cuts},
	}
}

func newMetrics() *pipeline.Metrics { return pipeline.NewMetrics(prometheus.NewRegistry()) }

func number64(t *testing.T, name string, otherwise int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 {
		t.Fatalf("%s must be a number from 1, not %q", name, text)
	}
	return n
}

// TestHostileRecords is `make hostile`: rows + dead letters + gaps = offsets, each offset once, no
// panic, flat memory, no payload in a reason.
func TestHostileRecords(t *testing.T) {
	cfg := Config{
		Seed: uint64(number64(t, "USHER_HOSTILE_SEED", 1)), CorpusDir: corpusDir,
		Records: number64(t, "USHER_HOSTILE_RECORDS", recordsDefault),
		Line:    lineConfig(t), Metrics: newMetrics(), Out: t.Output(),
	}
	cfg.Round = min(DefaultRound, max(1, cfg.Records/4))
	res, err := Run(cfg)
	if err != nil {
		t.Fatal(err)
	}
	res.Print(t.Output())
	if err := res.Check(); err != nil {
		t.Fatal(err)
	}
	// A generator that breaks everything, or nothing, tests little.
	if res.Events < res.Records/5 || res.DeadLetters < res.Records/5 || res.Gaps == 0 ||
		res.Decisions == 0 {
		t.Errorf("%d events, %d dead letters, %d gaps of %d records: not a hostile mixture", res.Events,
			res.DeadLetters, res.Gaps, res.Records)
	}
	for _, code := range []string{
		"json_syntax", "too_deep", "number_syntax", "field_missing", "field_type", "field_value", "utf8",
		"dup_key", "time_range", "id_too_long", "tombstone", "too_large",
	} {
		if res.ByCode[code] == 0 {
			t.Errorf("no record was %s", code)
		}
	}
}

func TestTheSameSeedMakesTheSameRecords(t *testing.T) {
	run := func(seed uint64) *Result {
		t.Helper()
		res, err := Run(Config{
			Seed: seed, Records: 2000, CorpusDir: corpusDir, Metrics: newMetrics(),
			Line: pipeline.LineConfig{Key: []byte("a test key that is long enough")},
		})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	a, b, c := run(5), run(5), run(6)
	if a.Events != b.Events || a.Offsets != b.Offsets || a.Reasons != b.Reasons {
		t.Errorf("seed 5 gave %+v and %+v", a, b)
	}
	if a.Events == c.Events && a.Offsets == c.Offsets {
		t.Error("seeds 5 and 6 gave the same")
	}
}
