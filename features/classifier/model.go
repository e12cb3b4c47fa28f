package classifier

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/edsrzf/mmap-go"

	"usher/features"
)

// Model is a loaded model file: immutable, safe to share between workers. After Close it must not
// be used any more.
type Model struct {
	meta     Meta
	checksum string
	body     []byte // table and rows, a view of the file
	table    []byte
	rows     []byte
	file     mmap.MMap // nil when the model came from bytes
}

// Load maps a model file and checks it. Replace a file in use by renaming a new one over it: the
// map keeps the old one until Close.
func Load(path string) (*Model, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot load the model: %w", err)
	}
	defer func() { _ = f.Close() }() // the map stays valid without it
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot load the model: %w", err)
	}
	if info.Size() == 0 || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot load the model %s: it is empty or no regular file; "+
			"make one with usher train", path)
	}
	data, err := mmap.Map(f, mmap.RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot map the model %s: %w", path, err)
	}
	m, err := parse(data)
	if err != nil {
		_ = data.Unmap()
		return nil, fmt.Errorf("cannot load the model %s: %w", path, err)
	}
	m.file = data
	return m, nil
}

// FromBytes checks a model file that is in memory; the bytes must stay as they are.
func FromBytes(file []byte) (*Model, error) {
	m, err := parse(file)
	if err != nil {
		return nil, fmt.Errorf("cannot load the model: %w", err)
	}
	return m, nil
}

// Close releases the map of a loaded file.
func (m *Model) Close() error {
	if m.file == nil {
		return nil
	}
	err := m.file.Unmap()
	m.file, m.body, m.table, m.rows = nil, nil, nil, nil
	if err != nil {
		return fmt.Errorf("cannot unmap the model: %w", err)
	}
	return nil
}

// Name is the model's name, such as intent.
func (m *Model) Name() string { return m.meta.Name }

// Version is the version that its trainer gave it.
func (m *Model) Version() string { return m.meta.Version }

// Checksum is the SHA-256 of the file's content in hex.
func (m *Model) Checksum() string { return m.checksum }

// Features is the configuration that texts must be turned into features with.
func (m *Model) Features() features.Config { return m.meta.Features }

// Rows is the number of features that the model knows.
func (m *Model) Rows() int { return m.meta.Rows }

// Bytes is the size of the weights and their table.
func (m *Model) Bytes() int { return len(m.body) }

// Card is what the trainer wrote for people, JSON, or nil.
func (m *Model) Card() json.RawMessage { return m.meta.Card }

// Heads are the model's heads, in the order of Scores.Heads. Do not change them.
func (m *Model) Heads() []HeadMeta { return m.meta.Heads }

// Head is the index of a head by name, or −1.
func (m *Model) Head(name string) int {
	for i := range m.meta.Heads {
		if m.meta.Heads[i].Name == name {
			return i
		}
	}
	return -1
}

// Resolved are the cut-offs for one label and language.
type Resolved struct{ AutoAt, SuggestAt, MinMargin, MinScope float64 }

// The cut-offs of a model that brings none (CONTRACT section 3).
const (
	defaultAutoAt    = 0.90
	defaultSuggestAt = 0.50
)

// Resolve gives the model's own cut-offs for a label and a language: the entry of the language and
// label goes over the language's, that over the label's, that over the head's.
func (t *Thresholds) Resolve(label, lang string) Resolved {
	r := Resolved{AutoAt: defaultAutoAt, SuggestAt: defaultSuggestAt}
	r.over(t.Cutoff)
	r.over(t.Labels[label])
	l, ok := t.Langs[lang]
	if !ok {
		primary, _, _ := strings.Cut(lang, "-")
		l = t.Langs[primary]
	}
	r.over(l.Cutoff)
	r.over(l.Labels[label])
	return r
}

func (r *Resolved) over(c Cutoff) {
	for _, p := range []struct{ to, from *float64 }{{&r.AutoAt, c.AutoAt}, {&r.SuggestAt, c.SuggestAt},
		{&r.MinMargin, c.MinMargin}, {&r.MinScope, c.MinScope}} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
}
