// Package hostile throws broken, twisted and malicious records at the router and holds it to its
// balance: whatever comes in, every offset ends as one event, one dead letter or one gap, nothing
// escapes, and memory stays where it was. Same seed, same records.
package hostile

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"usher/bench/gen"
)

// Canary stands in the text, an id and an attribute of seed records: a reason, a header or a log
// line that quotes the payload gives itself away by it.
const Canary = "cAnArY-7f3a"

// endMS is the end of the generated traffic; the router's clock begins there.
const endMS = 1_793_800_000_000

// Mutator makes hostile records out of good ones. It is not safe for concurrent use.
type Mutator struct {
	r      *rand.Rand
	corpus [][]byte
	gen    *gen.Generator
	rounds uint64
	seed   uint64
	out    []byte
	class  string
	// Classes counts the records by what was done to them last.
	Classes map[string]int64
}

// NewMutator makes a mutator over the seeds of a fuzz corpus directory and generated traffic.
func NewMutator(seed uint64, corpusDir string) (*Mutator, error) {
	m := &Mutator{r: rand.New(rand.NewPCG(seed, 77)), seed: seed, Classes: map[string]int64{}}
	files, err := filepath.Glob(filepath.Join(corpusDir, "*"))
	if err != nil {
		return nil, fmt.Errorf("cannot list the corpus: %w", err)
	}
	slices.Sort(files)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return nil, fmt.Errorf("cannot read the corpus: %w", err)
		}
		_, text, ok := strings.Cut(string(b), "[]byte(")
		value, err := strconv.Unquote(strings.TrimSuffix(strings.TrimSpace(text), ")"))
		if !ok || err != nil {
			return nil, fmt.Errorf("cannot read corpus file %s: it is not one []byte", filepath.Base(f))
		}
		m.corpus = append(m.corpus, []byte(value))
	}
	if len(m.corpus) == 0 {
		return nil, fmt.Errorf("cannot find a corpus in %s", corpusDir)
	}
	return m, nil
}

// conversationsPerRound bounds the conversations of one stretch of generated traffic.
const conversationsPerRound = 2000

// good is the next record to start from: generated traffic, or a seed of the corpus.
func (m *Mutator) good() (key, value []byte, err error) {
	if m.r.IntN(4) == 0 {
		v := m.corpus[m.r.IntN(len(m.corpus))]
		return []byte("c-42"), v, nil
	}
	for range 2 {
		if m.gen == nil {
			m.rounds++
			m.gen, err = gen.New(gen.Config{
				Seed: m.seed<<20 + m.rounds, Conversations: conversationsPerRound, EndMS: endMS,
			})
			if err != nil {
				return nil, nil, fmt.Errorf("cannot generate traffic: %w", err)
			}
		}
		var rec gen.Record
		if m.gen.Next(&rec) {
			return rec.Key, rec.Value, nil
		}
		m.gen = nil
	}
	return nil, nil, fmt.Errorf("cannot generate traffic: round %d is empty", m.rounds)
}

// Next fills key, value, headers and timestamp of a record with memory of its own.
func (m *Mutator) Next(rec *kgo.Record) error {
	key, value, err := m.good()
	if err != nil {
		return err
	}
	m.class = "untouched"
	m.out = append(m.out[:0], value...)
	nothing := value == nil
	if m.r.IntN(3) == 0 {
		m.out = mark(m.out)
	}
	for range m.r.IntN(4) {
		change := mutations[m.r.IntN(len(mutations))]
		m.class = change.name
		nothing = false
		m.out = change.apply(m, m.out)
	}
	switch m.r.IntN(2000) {
	case 0:
		m.class, nothing = "tombstone", true
	case 1:
		m.class, m.out = "huge text", m.huge(m.out)
	case 2:
		m.class, m.out = "deep", deep(m.out, 60+m.r.IntN(100_000))
	}
	rec.Key = append([]byte(nil), key...)
	if m.r.IntN(50) == 0 {
		rec.Key = m.noise(m.r.IntN(40))
	}
	rec.Value = nil
	if !nothing {
		rec.Value = append([]byte{}, m.out...)
	}
	rec.Headers = m.headers()
	m.Classes[m.class]++
	return nil
}

// mark hides the canary where a payload is most likely to be quoted.
func mark(b []byte) []byte {
	for _, at := range []string{`"text":"`, `"tenant":"`, `"attrs":{"`} {
		if i := strings.Index(string(b), at); i >= 0 {
			b = slices.Insert(b, i+len(at), []byte(Canary)...)
		}
	}
	return b
}

// huge blows one string up beyond the limit of a text, sometimes beyond that of a record.
func (m *Mutator) huge(b []byte) []byte {
	n := 60_000 + m.r.IntN(1_200_000)
	at := strings.Index(string(b), `":"`)
	if at < 0 {
		return append(b, strings.Repeat("x", n)...)
	}
	unit := pieces[m.r.IntN(len(pieces))]
	if unit == "" {
		unit = "y"
	}
	return slices.Insert(b, at+3, []byte(strings.Repeat(unit, n/len(unit)))...)
}

// deep nests a value that nobody reads.
func deep(b []byte, levels int) []byte {
	nest := `,"x":` + strings.Repeat(`[`, levels) + strings.Repeat(`]`, levels) + `}`
	if len(b) == 0 {
		return []byte(nest)
	}
	return append(b[:len(b)-1], nest...)
}

func (m *Mutator) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.r.IntN(256))
	}
	return b
}

// headers are none for most records; the rest speak CloudEvents or nonsense.
func (m *Mutator) headers() []kgo.RecordHeader {
	if m.r.IntN(20) != 0 {
		return nil
	}
	names := []string{
		"ce_id", "ce_time", "ce_type", "ce_subject", "ce_specversion", "usher.backfill", "dlq.code", "",
	}
	var out []kgo.RecordHeader
	for range 1 + m.r.IntN(4) {
		value := []byte(pieces[m.r.IntN(len(pieces))])
		switch m.r.IntN(8) {
		case 0:
			value = m.noise(m.r.IntN(200))
		case 1:
			value = []byte(strings.Repeat("h", 9000))
		}
		out = append(out, kgo.RecordHeader{Key: names[m.r.IntN(len(names))], Value: value})
	}
	return out
}
