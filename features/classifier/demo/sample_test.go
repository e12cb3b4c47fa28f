package demo

import (
	"flag"
	"fmt"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"usher/features/classifier/corpus"
)

var draw = flag.Bool("draw", false, "print the messages that sentiment and urgency are measured on")

// The sample: from each public set and language so many messages, those whose place has the lowest
// hash. It is drawn without a look at the texts.
const sampleSeed = 20261120

// What moves people is rare in these sets, so two strata are of messages with a sign of it: an
// exclamation mark, or a word of haste.
var (
	loud   = regexp.MustCompile("!")
	timely = regexp.MustCompile(`(?i)\b(soon|quickly|urgent\w*|immediate\w*|asap|emergency|hurry|right away|` +
		`tonight)\b`)
)

var sampleOf = []struct {
	set, lang string
	n         int
	only      *regexp.Regexp // nil: all
}{
	{"firefox-aaq-topics/train-2020..2024", "en-US", 80, nil},
	{"bitext/bitext20k", "en", 40, nil},
	{"multidogo/dev", "en", 30, nil},
	{"banking77/test", "en", 20, nil},
	{"tilde-nlu/askubuntu.train", "ru", 30, nil},
	{"tilde-nlu/webapps.train", "ru", 20, nil},
	{"tilde-nlu/chatbot.train", "ru", 20, nil},
	{"home-assistant/train", "ru", 20, nil},
	{"firefox-aaq-topics/train-2020..2024", "en-US", 40, loud},
	{"multidogo/dev", "en", 30, timely},
	{"banking77/train", "en", 20, timely},
}

// drawn is one message of the sample. Its text is never kept.
type drawn struct {
	set  string
	line int    // of the unpacked file, the header is 1
	hash string // of the text, so that another edition of the set is noticed
	lang string // primary language
	text string
}

func sample(t *testing.T) (out []drawn) {
	t.Helper()
	dir := filepath.Join(shared(t), "data", "classification")
	seen := map[string]bool{}
	for _, s := range sampleOf {
		rows, err := corpus.ReadFiles([]string{filepath.Join(dir, s.set+".tsv.gz")})
		if err != nil {
			t.Fatal(err)
		}
		var of []drawn
		once := map[string]bool{} // a text that comes often is not drawn more easily
		for i, r := range rows {
			if r.Lang != s.lang || s.only != nil && !s.only.MatchString(r.Text) || once[r.Text] {
				continue
			}
			once[r.Text] = true
			lang, _, _ := strings.Cut(r.Lang, "-")
			of = append(of, drawn{set: s.set, line: i + 2, lang: lang, text: r.Text,
				hash: fmt.Sprintf("%016x", xxhash.Sum64String(r.Text))})
		}
		place := func(d drawn) uint64 {
			return xxhash.Sum64String(fmt.Sprintf("%d %s %d", sampleSeed, d.set, d.line))
		}
		sort.Slice(of, func(a, b int) bool { return place(of[a]) < place(of[b]) })
		n := 0
		for _, d := range of {
			if n < s.n && !seen[d.text] {
				seen[d.text] = true
				out = append(out, d)
				n++
			}
		}
	}
	return out
}

// TestDraw prints the sample for who labels it: go test ./features/classifier/demo -run TestDraw -draw -v
func TestDraw(t *testing.T) {
	if !*draw {
		t.Skip("prints nothing without -draw")
	}
	for i, d := range sample(t) {
		fmt.Printf("%d\t%s\t%d\t%s\t%s\t%s\n", i+1, d.set, d.line, d.hash, d.lang, d.text)
	}
}
