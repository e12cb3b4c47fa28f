// Package corpus reads labelled messages from TSV files, plain, .gz or .zst.
package corpus

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
)

// Row is one labelled message.
type Row struct {
	Text, Label string
	Lang        string // empty: not told
	Split       string // train, test …; empty: not told
	Group       string // rows of one group (variants of one sentence) never part; empty: its own
	Channel     string // empty: not told
	Region      string // empty: not told
}

// maxLineBytes bounds one line; messages are cut at 64 KiB long before.
const maxLineBytes = 1 << 20

// bom may begin a file that a spreadsheet wrote.
const bom = "\uFEFF"

// LabelColumn is the column that holds the label where no other is named.
const LabelColumn = "label"

// ReadFiles reads every file in turn.
func ReadFiles(paths []string) ([]Row, error) { return ReadColumn(paths, LabelColumn) }

// ReadColumn reads the labels of another column, such as sentiment: one file may hold those of
// several heads. A row whose cell is empty says nothing about this head and is left out; only in
// the column label that is an error.
func ReadColumn(paths []string, column string) ([]Row, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("cannot read messages: no file given; name at least one TSV file")
	}
	var rows []Row
	for _, path := range paths {
		var err error
		if rows, err = readFile(rows, path, column); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func readFile(rows []Row, path, column string) (_ []Row, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read messages: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading only
	var r io.Reader = f
	switch filepath.Ext(path) {
	case ".gz":
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("cannot unpack %s: %w; is it really gzip?", path, err)
		}
		r = z
	case ".zst":
		z, err := zstd.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("cannot unpack %s: %w; is it really zstd?", path, err)
		}
		defer z.Close()
		r = z
	}
	return read(rows, r, path, column)
}

// columns are the places of the known columns in a line, −1 when absent.
type columns struct {
	text, label, lang, split, group, channel, region, count int
	sparse                                                  bool // the label may be missing
}

// Read appends the rows of one TSV to rows: a header line, then one message a line, no quoting. The
// columns text and label are required, lang, split, group, channel and region optional, others
// ignored; a line may
// end early only where optional columns are missing. name is for errors.
func Read(rows []Row, r io.Reader, name string) ([]Row, error) {
	return read(rows, r, name, LabelColumn)
}

func read(rows []Row, r io.Reader, name, column string) ([]Row, error) {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 64<<10), maxLineBytes)
	var cols columns
	line := 0
	for sc.Scan() {
		line++
		text := sc.Text()
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("cannot read %s: line %d is no UTF-8; convert the file", name, line)
		}
		if line == 1 {
			var err error
			if cols, err = header(strings.TrimPrefix(text, bom), name, column); err != nil {
				return nil, err
			}
			continue
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		row, err := cols.row(text)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: line %d %w", name, line, err)
		}
		if row.Label != "" {
			rows = append(rows, row)
		}
	}
	if err := sc.Err(); err != nil {
		return nil, fmt.Errorf("cannot read %s after line %d: %w", name, line, err)
	}
	if line == 0 {
		return nil, fmt.Errorf("cannot read %s: it is empty; the first line names the columns, "+
			"text and label at least", name)
	}
	return rows, nil
}

func header(line, name, column string) (columns, error) {
	c := columns{-1, -1, -1, -1, -1, -1, -1, 0, column != LabelColumn}
	for i, col := range strings.Split(line, "\t") {
		col = strings.TrimSpace(col)
		if col == column {
			c.label = i
		}
		switch col {
		case "text":
			c.text = i
		case "lang":
			c.lang = i
		case "split":
			c.split = i
		case "group":
			c.group = i
		case "channel":
			c.channel = i
		case "region":
			c.region = i
		}
		c.count++
	}
	if c.text < 0 || c.label < 0 {
		return c, fmt.Errorf("cannot read %s: line 1 must name the columns, separated by tabs, text and "+
			"%s among them", name, column)
	}
	return c, nil
}

func (c *columns) row(line string) (Row, error) {
	cells := strings.Split(line, "\t")
	if len(cells) > c.count {
		return Row{}, fmt.Errorf("has %d columns where the header has %d; replace tabs inside the text",
			len(cells), c.count)
	}
	at := func(i int) string {
		if i < 0 || i >= len(cells) {
			return ""
		}
		return strings.TrimSpace(cells[i])
	}
	r := Row{Text: at(c.text), Label: at(c.label), Lang: at(c.lang), Split: at(c.split),
		Group: at(c.group), Channel: at(c.channel), Region: at(c.region)}
	if r.Text == "" || r.Label == "" && !c.sparse {
		return Row{}, fmt.Errorf("has no text or no label; fill both or remove the line")
	}
	return r, nil
}
