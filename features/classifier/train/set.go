package train

import (
	"math"
	"runtime"
	"sync"

	"usher/features"
	"usher/features/classifier/corpus"
)

// set is the training messages as rows of numbered features.
type set struct {
	keys  []uint64 // feature of each number
	docs  []doc
	truth []int32
}

// doc lists the features of one message; norm is one over its length as a vector, with the
// features that were dropped later counted, just as in scoring.
type doc struct {
	ids    []int32
	counts []uint8
	norm   float32
}

// newSet extracts features on all cores; the numbers follow the order of the rows, so the result
// does not depend on how many there are.
func newSet(cfg *Config, p *parts) *set {
	rows, labels := p.fit, p.labels
	vectors := make([]features.Vector, len(rows))
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			extract(cfg, rows, vectors, w, workers)
		}()
	}
	wg.Wait()
	seen := map[uint64]int{}
	for i := range vectors {
		for _, key := range vectors[i].Keys {
			seen[key]++
		}
	}
	index := make(map[string]int32, len(labels))
	for i, l := range labels {
		index[l] = int32(i)
	}
	s := &set{docs: make([]doc, len(rows)), truth: make([]int32, len(rows))}
	number := map[uint64]int32{}
	for i := range vectors {
		v := &vectors[i]
		d := &s.docs[i]
		for j, key := range v.Keys {
			if seen[key] < cfg.MinCount {
				continue
			}
			id, ok := number[key]
			if !ok {
				id = int32(len(s.keys))
				number[key] = id
				s.keys = append(s.keys, key)
			}
			d.ids = append(d.ids, id)
			d.counts = append(d.counts, v.Counts[j])
		}
		d.norm = float32(1 / math.Sqrt(float64(max(v.Square, 1))))
		s.truth[i] = index[rows[i].Label]
	}
	return s
}

func extract(cfg *Config, rows []corpus.Row, to []features.Vector, from, step int) {
	x, err := features.New(cfg.Features)
	if err != nil {
		panic("BUG: the configuration was validated: " + err.Error())
	}
	for i := from; i < len(rows); i += step {
		x.Fill([]byte(rows[i].Text), nil, &to[i])
	}
}
