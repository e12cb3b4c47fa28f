package corpus

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

func TestRead(t *testing.T) {
	f := func(in string, want ...Row) {
		t.Helper()
		got, err := Read(nil, strings.NewReader(in), "a.tsv")
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", in, diff)
		}
	}
	f("text\tlabel\n")
	f("text\tlabel\nhello\tdeal\n", Row{Text: "hello", Label: "deal"})
	f("text\tlabel\r\nhello\tdeal\r\n\r\n", Row{Text: "hello", Label: "deal"})
	f("\uFEFFtext\tlabel\nhello\tdeal", Row{Text: "hello", Label: "deal"})
	f("id\tlabel\tsplit\ttext\tgroup\tlang\n7\tclaim\ttest\t a \"b\" \tg\tru\n",
		Row{Text: `a "b"`, Label: "claim", Split: "test", Group: "g", Lang: "ru"})
	f("text\tlabel\tlang\na\tx\nb\ty\tlv\n", Row{Text: "a", Label: "x"}, Row{Text: "b", Label: "y", Lang: "lv"})
}

func TestReadErrors(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		_, err := Read(nil, strings.NewReader(in), "a.tsv")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", in, err, want)
		}
	}
	f("", "cannot read a.tsv: it is empty")
	f("text,label\n", "line 1 must name the columns, separated by tabs")
	f("text\tlang\n", "line 1 must name the columns")
	f("text\tlabel\na\tb\tc\n", "line 2 has 3 columns where the header has 2")
	f("text\tlabel\na\tb\n\tb\n", "line 3 has no text or no label")
	f("text\tlabel\na\n", "line 2 has no text or no label")
	f("text\tlabel\n\xff\tb\n", "line 2 is no UTF-8")
	f("text\tlabel\n"+strings.Repeat("x", maxLineBytes+1), "after line 1")
}

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	plain := []byte("text\tlabel\nhello\tdeal\n")
	var gz, zs bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{g, z} {
		if _, err := w.Write(plain); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	paths := []string{write("a.tsv", plain), write("b.tsv.gz", gz.Bytes()), write("c.tsv.zst", zs.Bytes())}
	rows, err := ReadFiles(paths)
	if err != nil || len(rows) != 3 || rows[0] != rows[1] || rows[1] != rows[2] {
		t.Errorf("%v, %v", rows, err)
	}
	f := func(want string, paths ...string) {
		t.Helper()
		if _, err := ReadFiles(paths); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("no file given")
	f("no such file", filepath.Join(dir, "absent"))
	f("is it really gzip?", write("d.gz", plain))
	f("cannot read", write("e.zst", plain))
	f("after line 2", write("f.gz", gz.Bytes()[:gz.Len()-6]))
}
