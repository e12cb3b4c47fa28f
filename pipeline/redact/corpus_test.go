package redact

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// sharedDir finds the directory of shared data: USHER_SHARED, or "shared" beside the repository.
func sharedDir(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("USHER_SHARED"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if s := filepath.Join(dir, "shared", "data"); isDir(s) {
			return filepath.Join(dir, "shared")
		}
		if filepath.Dir(dir) == dir {
			t.Skip("no shared data here")
		}
		dir = filepath.Dir(dir)
	}
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

type labelled struct {
	Text  string `json:"text"`
	Spans []struct {
		Type  string `json:"entity_type"`
		Value string `json:"entity_value"`
	} `json:"spans"`
}

func readCorpus(t *testing.T) []labelled {
	t.Helper()
	path := filepath.Join(sharedDir(t), "data", "pii", "presidio_synth_v2.dev.jsonl.gz")
	f, err := os.Open(path)
	if err != nil {
		t.Skip("no labelled personal data here")
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []labelled
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l labelled
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		out = append(out, l)
	}
	if lines.Err() != nil {
		t.Fatal(lines.Err())
	}
	return out
}

// TestCorpus measures recall (values that are gone from the text) and precision (masks of a kind
// against labels of that kind) on Presidio's synthetic sentences, and holds them to what was
// measured. The rules were looked over with these sentences at hand, so the figures flatter.
func TestCorpus(t *testing.T) {
	floors := []struct {
		label, mask             string
		recallMin, precisionMin float64
	}{
		{"EMAIL_ADDRESS", MaskEmail, 1, 1},
		{"CREDIT_CARD", MaskCard, 1, 0.98},
		{"PHONE_NUMBER", MaskPhone, 1, 0.85},
		{"IBAN_CODE", MaskIBAN, 1, 1},
	}
	corpus := readCorpus(t)
	r := newRedactor(t, Config{})
	for _, f := range floors {
		labels, gone, masks, right := 0, 0, 0, 0
		for _, l := range corpus {
			got := r.Text(nil, []byte(l.Text))
			n := bytes.Count(got, []byte(f.mask))
			here := 0
			for _, s := range l.Spans {
				if s.Type != f.label {
					continue
				}
				here++
				if !bytes.Contains(got, []byte(s.Value)) {
					gone++
				}
			}
			labels += here
			masks += n
			right += min(n, here)
		}
		recall, precision := float64(gone)/float64(labels), float64(right)/float64(masks)
		t.Logf("%s: %d labels, recall %.3f, %d masks, precision %.3f", f.label, labels, recall,
			masks, precision)
		if recall < f.recallMin || precision < f.precisionMin {
			t.Errorf("%s: recall %.3f (floor %.3f), precision %.3f (floor %.3f)", f.label, recall,
				f.recallMin, precision, f.precisionMin)
		}
	}
}
