package train

import (
	"math"
	"runtime"
	"slices"
	"sync"

	"usher/features"
	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// set is the training messages as rows of numbered features.
type set struct {
	keys  []uint64 // feature of each number
	docs  []doc
	truth []int32   // the label of each message
	sets  [][]int32 // one against the rest: all labels of each message's text, rising; else nil
}

// doc lists the features of one message; norm is one over its length as a vector, with the
// features that were dropped later counted, just as in scoring.
type doc struct {
	ids    []int32
	counts []uint8
	norm   float32
}

// span is a range of rows.
type span struct{ from, to int }

// newSet extracts features on all cores; the numbers follow the order of the rows, so the result
// does not depend on how many there are. Features of the uncounted rows alone are not learned.
func newSet(cfg *Config, p *parts, rows []corpus.Row, uncounted span) *set {
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
		if i >= uncounted.from && i < uncounted.to {
			continue
		}
		for _, key := range vectors[i].Keys {
			seen[key]++
		}
	}
	s := &set{docs: make([]doc, len(rows)), truth: make([]int32, len(rows))}
	index := make(map[string]int32, len(p.labels))
	for i, l := range p.labels {
		index[l] = int32(i)
	}
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
	if p.kind == classifier.OneVsAll {
		s.sets = labelSets(rows, index)
	}
	return s
}

// labelSets lists for each row all labels that its text has in any row: two articles may share a
// sentence, and neither may learn that it is not its own.
func labelSets(rows []corpus.Row, index map[string]int32) [][]int32 {
	of := map[string][]int32{}
	for _, r := range rows {
		if i, ok := index[r.Label]; ok && !slices.Contains(of[r.Text], i) {
			of[r.Text] = append(of[r.Text], i)
		}
	}
	sets := make([][]int32, len(rows))
	for i, r := range rows {
		slices.Sort(of[r.Text])
		sets[i] = of[r.Text]
	}
	return sets
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
