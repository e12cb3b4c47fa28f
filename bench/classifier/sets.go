package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/cespare/xxhash/v2"

	"usher/features"
	"usher/features/classifier/corpus"
)

// set is one comparison: rows to train on and others to measure on.
type set struct {
	name        string
	train, test []corpus.Row
	dropped     int // training rows whose text is in test too
}

// source says where a set comes from.
type source struct {
	name        string
	train, test string  // files; an empty test is cut off train
	last        float64 // share of the file's last rows that is cut off
	hashed      float64 // or share that is cut off by a hash of group or text
	skip        []string
	dedupe      bool // also inside train and test, by text and label
}

const (
	ambiguous  = "ambiguous"
	outOfScope = "oos"
)

var sources = []source{
	{name: "banking77", train: "classification/banking77/train.tsv.gz",
		test: "classification/banking77/test.tsv.gz"},
	{name: "clinc150", train: "classification/clinc150/train.tsv.gz",
		test: "classification/clinc150/val.tsv.gz", skip: []string{outOfScope}},
	{name: "map-banking77", train: "mapping/banking77.deal-request-claim.train.tsv.gz",
		test: "mapping/banking77.deal-request-claim.test.tsv.gz", skip: []string{ambiguous}},
	{name: "map-multidogo", train: "mapping/multidogo.deal-request-claim.train.tsv.gz",
		test: "mapping/multidogo.deal-request-claim.dev.tsv.gz", skip: []string{ambiguous}, dedupe: true},
	{name: "map-bitext", train: "mapping/bitext20k.deal-request-claim.tsv.gz", hashed: 0.2,
		skip: []string{ambiguous}},
	{name: "xsid", train: "classification/xsid/valid.tsv.gz", hashed: 0.2},
	{name: "home-assistant", train: "classification/home-assistant/train.tsv.gz", hashed: 0.2},
	{name: "firefox", train: "classification/firefox-aaq-topics/train-2020..2024.tsv.gz", last: 0.2},
	{name: "multidogo", train: "classification/multidogo/train.tsv.gz",
		test: "classification/multidogo/dev.tsv.gz", dedupe: true},
}

func find(name string) (*source, error) {
	for i := range sources {
		if sources[i].name == name {
			return &sources[i], nil
		}
	}
	return nil, fmt.Errorf("there is no set %q; see sets.go", name)
}

// load reads and divides a set. A text that is on both sides is taken out of train, so that nothing
// that is measured was learned.
func (s *source) load(dir string) (*set, error) {
	train, err := s.read(dir, s.train)
	if err != nil {
		return nil, err
	}
	out := &set{name: s.name}
	switch {
	case s.test != "":
		if out.test, err = s.read(dir, s.test); err != nil {
			return nil, err
		}
		out.train = train
	case s.last > 0:
		at := int(float64(len(train)) * (1 - s.last))
		out.train, out.test = train[:at], train[at:]
	default:
		out.train, out.test = cut(train, s.hashed)
	}
	return out, out.part(s.dedupe)
}

func (s *source) read(dir, file string) ([]corpus.Row, error) {
	rows, err := readRows(filepath.Join(dir, file))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(r corpus.Row) bool { return slices.Contains(s.skip, r.Label) }),
		nil
}

// part takes texts out of train that are in test too, and repetitions if they are not wanted.
func (s *set) part(dedupe bool) error {
	x, err := features.New(features.Default(1))
	if err != nil {
		return err
	}
	canon := func(r *corpus.Row) string { return string(x.Canonical([]byte(r.Text))) }
	seen := map[string]bool{}
	keep := s.test[:0:0]
	for _, r := range s.test {
		c := canon(&r)
		if dedupe && seen[c] {
			continue
		}
		seen[c] = true
		keep = append(keep, r)
	}
	s.test = keep
	once := map[string]bool{}
	keep = s.train[:0:0]
	for _, r := range s.train {
		c := canon(&r)
		if seen[c] {
			s.dropped++
			continue
		}
		if dedupe && once[c+"\x00"+r.Label] {
			continue
		}
		once[c+"\x00"+r.Label] = true
		keep = append(keep, r)
	}
	s.train = keep
	return nil
}

// cut deals rows by a hash of their group or text; variants of one sentence stay together.
func cut(rows []corpus.Row, share float64) (train, test []corpus.Row) {
	for _, r := range rows {
		key := "g" + r.Lang + "\x00" + r.Group
		if r.Group == "" {
			key = "t" + r.Text
		}
		if float64(xxhash.Sum64String(key)>>11)/(1<<53) < share {
			test = append(test, r)
		} else {
			train = append(train, r)
		}
	}
	return train, test
}

// readRows reads a packed file but for lines without a text, of which xsid has one.
func readRows(path string) ([]corpus.Row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, fmt.Errorf("cannot unpack %s: %w", path, err)
	}
	all, err := io.ReadAll(z)
	if err != nil {
		return nil, fmt.Errorf("cannot unpack %s: %w", path, err)
	}
	var kept bytes.Buffer
	for line := range bytes.Lines(all) {
		if line[0] != '\t' {
			kept.Write(line)
		}
	}
	return corpus.Read(nil, &kept, path)
}
