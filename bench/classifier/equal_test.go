package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
	"usher/features/classifier/demo"
	"usher/features/classifier/train"
)

// plain scores in float64 from the bytes of a model file, read anew after its description: no lanes,
// no polynomial, no code of package classifier but the names in the meta data.
type plain struct {
	meta  classifier.Meta
	table []uint64
	rows  []byte
}

func readPlain(t *testing.T, file []byte) *plain {
	t.Helper()
	size := int(binary.LittleEndian.Uint32(file[12:]))
	p := &plain{}
	if err := json.Unmarshal(file[16:16+size], &p.meta); err != nil {
		t.Fatal(err)
	}
	at := 16 + size
	for range p.meta.Slots {
		p.table = append(p.table, binary.LittleEndian.Uint64(file[at:]))
		at += 8
	}
	p.rows = file[at : at+p.meta.Rows*p.meta.Stride]
	return p
}

func (p *plain) probs(v *features.Vector) []float64 {
	h := p.meta.Heads[0]
	logits := make([]float64, len(h.Labels))
	square := 0.0
	for i, key := range v.Keys {
		count := float64(v.Counts[i])
		square += count * count
		slot := int(key % uint64(len(p.table)))
		for ; p.table[slot] != 0; slot = (slot + 1) % len(p.table) {
			if p.table[slot]>>32 == key>>32 {
				row := int(p.table[slot]&(1<<32-1)) - 1
				for c := range logits {
					logits[c] += count * float64(int8(p.rows[row*p.meta.Stride+h.From+c]))
				}
				break
			}
		}
	}
	total := 0.0
	for c := range logits {
		logits[c] = (logits[c]*h.Scale/math.Sqrt(max(square, 1)) + h.Bias[c]) / h.Temperature
		total += math.Exp(logits[c])
	}
	for c := range logits {
		logits[c] = math.Exp(logits[c]) / total
	}
	return logits
}

// TestPlainScores: 100,000 public messages of all sets, scored by a model of 3 labels and one of 77,
// have the same probabilities to 3 decimals as the plain computation gives from the same file.
func TestPlainScores(t *testing.T) {
	const messages = 100_000
	root := os.Getenv("USHER_SHARED")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared")
	}
	var rows []corpus.Row
	for _, s := range sources {
		more, err := readRows(filepath.Join(root, "data", s.train))
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("no public data beside the repository; set USHER_SHARED")
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, more...)
	}
	if len(rows) < messages {
		t.Fatalf("%d messages", len(rows))
	}
	cfg := train.Default("many")
	cfg.Epochs, cfg.Members, cfg.Refit, cfg.Rank, cfg.Holdout = 1, 1, false, train.FullRank, 0
	res, err := train.Run(cfg, rows[:10003]) // banking77
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{demo.Bytes(), res.File} {
		m, err := classifier.FromBytes(file)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, m, readPlain(t, file), rows, messages)
	}
}

func compare(t *testing.T, m *classifier.Model, p *plain, rows []corpus.Row, n int) {
	t.Helper()
	x, err := features.New(m.Features())
	if err != nil {
		t.Fatal(err)
	}
	var v features.Vector
	out := m.NewScores()
	worst := 0.0
	for i := range n {
		x.Fill([]byte(rows[i*len(rows)/n].Text), nil, &v)
		m.Score(&v, out)
		for c, want := range p.probs(&v) {
			worst = max(worst, math.Abs(out.Heads[0].Probs[c]-want))
		}
	}
	if !(worst <= 0.0005) {
		t.Errorf("%s with %d labels is off by %v", m.Name(), len(m.Heads()[0].Labels), worst)
	}
	t.Logf("%s: the largest difference of %d messages is %v", m.Name(), n, worst)
}
