package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/train"
)

// data finds a file of the public data beside the repository, or skips.
func data(b *testing.B, name string) []corpus.Row {
	b.Helper()
	root := os.Getenv("USHER_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	rows, err := readRows(filepath.Join(root, "data", name))
	if err != nil {
		b.Skip("no public data beside the repository; set USHER_SHARED")
	}
	return rows
}

// quick trains a model of the usual size; how good it is does not change what scoring costs.
func quick(b *testing.B, rows []corpus.Row) *classifier.Model {
	b.Helper()
	cfg := train.Default("bench")
	cfg.Epochs, cfg.Members, cfg.Refit, cfg.Rank, cfg.Holdout = 1, 1, false, train.FullRank, 0
	res, err := train.Run(cfg, rows)
	if err != nil {
		b.Fatal(err)
	}
	m, err := classifier.FromBytes(res.File)
	if err != nil {
		b.Fatal(err)
	}
	return m
}

// about54 picks messages of 50 to 58 characters, 54 in the mean.
func about54(rows []corpus.Row) (texts [][]byte) {
	for _, r := range rows {
		if n := len(r.Text); n >= 50 && n <= 58 {
			texts = append(texts, []byte(r.Text))
		}
	}
	return texts
}

// burst is so short that other work on the machine seldom falls into one: the best of them is what
// the code costs, the mean is what it cost on this machine with everything else that ran.
const burst = 32

func measure(b *testing.B, texts [][]byte, f func(text []byte)) {
	b.Helper()
	b.ReportAllocs()
	for _, text := range texts {
		f(text)
	}
	best := time.Hour
	i := 0
	for b.Loop() {
		start := time.Now()
		for range burst {
			f(texts[i%len(texts)])
			i++
		}
		best = min(best, time.Since(start))
	}
	b.ReportMetric(float64(best.Nanoseconds())/burst, "best-ns/msg")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/burst, "mean-ns/msg")
}

func benchmark(b *testing.B, name string) {
	m := quick(b, data(b, name+"train.tsv.gz"))
	texts := about54(data(b, "classification/banking77/test.tsv.gz"))
	x, err := features.New(m.Features())
	if err != nil {
		b.Fatal(err)
	}
	var v features.Vector
	out := m.NewScores()
	b.Run("extract", func(b *testing.B) {
		measure(b, texts, func(text []byte) { x.Fill(text, nil, &v) })
	})
	b.Run("extract+score", func(b *testing.B) {
		measure(b, texts, func(text []byte) {
			x.Fill(text, nil, &v)
			m.Score(&v, out)
		})
	})
}

// BenchmarkMessage is one message of about 54 characters, drawn from banking77's test split.
func BenchmarkMessage(b *testing.B) {
	b.Run("77labels", func(b *testing.B) { benchmark(b, "classification/banking77/") })
	b.Run("3labels", func(b *testing.B) { benchmark(b, "mapping/banking77.deal-request-claim.") })
}
