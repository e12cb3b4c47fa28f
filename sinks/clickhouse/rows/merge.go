package rows

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"usher/sinks/clickhouse/schema"
)

// ErrBlock is the cause of every error about the bytes of a block.
var ErrBlock = errors.New("not a row block")

// rowsMax bounds the row count that a block may claim, far above what BytesMax allows.
const rowsMax = 1 << 22

// RowsOf is the number of rows that block says it has.
func RowsOf(block []byte) (int, error) {
	r := reader{b: block}
	_, rows := r.uvarint(), r.uvarint()
	if r.bad || rows > rowsMax {
		return 0, fmt.Errorf("cannot read the row count: %w", ErrBlock)
	}
	return int(rows), nil
}

// Merge joins the blocks of one table into one Native block and adds the position columns, so that
// one range makes one insert. Columns are copied whole: nothing is done per cell but finding where
// strings end. The zero Merge is ready; Reset keeps the buffers.
type Merge struct {
	columns []part
	records []placed
	rows    int
}

// part is one column of the merged block.
type part struct {
	shape
	name, typ               string
	nulls, ends, data, more []byte
	total                   uint64
}

// placed is one record's share of the block.
type placed struct {
	offset int64
	rows   int
}

// Position is where a range of blocks lies and until when its insert is welcome.
type Position struct {
	TopicID    schema.UUID
	Partition  int32
	LeaseUntil schema.Instant
}

// Reset empties m and keeps its buffers.
func (m *Merge) Reset() {
	for i := range m.columns {
		p := &m.columns[i]
		p.nulls, p.ends, p.data, p.more, p.total = p.nulls[:0], p.ends[:0], p.data[:0], p.more[:0], 0
	}
	m.records, m.rows = m.records[:0], 0
}

// Rows is the number of rows added since the last Reset.
func (m *Merge) Rows() int { return m.rows }

// Add appends the block of the record at offset. After an error m holds half a block: Reset it.
func (m *Merge) Add(block []byte, offset int64) error {
	r := reader{b: block}
	width, rows := r.uvarint(), r.uvarint()
	if r.bad || width == 0 || width > 4096 || rows > rowsMax {
		return fmt.Errorf("cannot read the size of the block at offset %d: %w", offset, ErrBlock)
	}
	if m.rows == 0 && len(m.columns) != int(width) {
		m.columns = make([]part, width)
	}
	if len(m.columns) != int(width) {
		return fmt.Errorf("cannot join the block at offset %d: %d columns after %d: %w",
			offset, width, len(m.columns), ErrBlock)
	}
	for i := range m.columns {
		if err := m.columns[i].add(&r, int(rows), m.rows == 0); err != nil {
			return fmt.Errorf("cannot join the block at offset %d, column %d: %w", offset, i, err)
		}
	}
	if len(r.b) != 0 {
		return fmt.Errorf("cannot join the block at offset %d: %d bytes follow it: %w",
			offset, len(r.b), ErrBlock)
	}
	m.records = append(m.records, placed{offset: offset, rows: int(rows)})
	m.rows += int(rows)
	return nil
}

// Names returns the column names of the merged block, position columns last.
func (m *Merge) Names() []string {
	var out []string
	for i := range m.columns {
		out = append(out, m.columns[i].name)
	}
	for _, c := range schema.Position() {
		out = append(out, c.Name)
	}
	return out
}

// Encode appends the merged block, with its position columns, to dst.
func (m *Merge) Encode(dst []byte, at Position) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(m.columns)+5))
	dst = binary.AppendUvarint(dst, uint64(m.rows))
	for i := range m.columns {
		p := &m.columns[i]
		dst = appendString(appendString(dst, p.name), p.typ)
		dst = append(dst, p.nulls...)
		dst = append(dst, p.ends...)
		dst = append(dst, p.data...)
		dst = append(dst, p.more...)
	}
	return m.encodePosition(dst, at)
}

// encodePosition appends the columns of schema.Position.
func (m *Merge) encodePosition(dst []byte, at Position) []byte {
	columns := schema.Position()
	head := func(i int) { dst = appendString(appendString(dst, columns[i].Name), columns[i].Wire) }
	head(0)
	for range m.rows {
		dst = appendUUID(dst, &at.TopicID)
	}
	head(1)
	for range m.rows {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(at.Partition))
	}
	head(2)
	for _, r := range m.records {
		for range r.rows {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(r.offset))
		}
	}
	head(3)
	for _, r := range m.records {
		for sub := range r.rows {
			dst = binary.LittleEndian.AppendUint32(dst, uint32(sub))
		}
	}
	head(4)
	for range m.rows {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(at.LeaseUntil))
	}
	return dst
}

// add takes the next column of a block from r.
func (p *part) add(r *reader, rows int, first bool) error {
	name, typ := r.str(), r.str()
	if r.bad {
		return fmt.Errorf("its header is cut: %w", ErrBlock)
	}
	switch {
	case first && (p.name != string(name) || p.typ != string(typ)):
		s, err := shapeOf(string(typ))
		if err != nil {
			return err
		}
		*p = part{shape: s, name: string(name), typ: string(typ)}
	case p.name != string(name) || p.typ != string(typ):
		return fmt.Errorf("%q %q where %q %q was expected: %w", name, typ, p.name, p.typ, ErrBlock)
	}
	if p.nullable {
		p.nulls = append(p.nulls, r.take(rows)...)
	}
	elements := rows
	if p.many {
		ends := r.take(8 * rows)
		elements = p.rebase(ends)
	}
	if elements < 0 || elements > len(r.b) && elements > 0 {
		return fmt.Errorf("%s claims %d values: %w", name, elements, ErrBlock)
	}
	p.data = append(p.data, r.cells(p.width, elements)...)
	if p.pairs {
		p.more = append(p.more, r.cells(p.width, elements)...)
	}
	if r.bad {
		return fmt.Errorf("%s is cut: %w", name, ErrBlock)
	}
	return nil
}

// rebase appends the cumulative ends of a block after those that are there, and returns how many
// elements the block has, or −1 when the ends fall.
func (p *part) rebase(ends []byte) int {
	last := uint64(0)
	for ; len(ends) >= 8; ends = ends[8:] {
		end := binary.LittleEndian.Uint64(ends)
		if end < last || end > 1<<32 {
			return -1
		}
		last = end
		p.ends = binary.LittleEndian.AppendUint64(p.ends, p.total+end)
	}
	p.total += last
	return int(last)
}

// shape is how the cells of a wire type lie in a block.
type shape struct {
	nullable, many, pairs bool
	width                 int // bytes of one element, 0 for strings
}

// shapeOf parses the wire types that blocks use.
func shapeOf(typ string) (s shape, err error) {
	if typ == "Map(String, String)" {
		return shape{many: true, pairs: true}, nil
	}
	inner := typ
	if rest, ok := strings.CutPrefix(inner, "Array("); ok {
		s.many, inner = true, strings.TrimSuffix(rest, ")")
	} else if rest, ok := strings.CutPrefix(inner, "Nullable("); ok {
		s.nullable, inner = true, strings.TrimSuffix(rest, ")")
	}
	switch inner {
	case "String":
	case "UInt8", "Int8":
		s.width = 1
	case "Date":
		s.width = 2
	case "UInt32", "Int32":
		s.width = 4
	case "UInt64", "Int64", "Float64", "DateTime64(3, 'UTC')":
		s.width = 8
	case "UUID":
		s.width = 16
	default:
		return s, fmt.Errorf("unknown column type %q: %w", typ, ErrBlock)
	}
	return s, nil
}

// reader walks a block; bad is set, and nothing returned, once it would run over the end.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) str() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// cells takes n cells of a width, or n strings when width is 0.
func (r *reader) cells(width, n int) []byte {
	if width > 0 {
		return r.take(width * n)
	}
	at := 0
	for range n {
		if at < len(r.b) && r.b[at] < 0x80 { // nearly every cell; the end is checked by take
			at += 1 + int(r.b[at])
			continue
		}
		if at > len(r.b) {
			r.bad = true
			return nil
		}
		length, size := binary.Uvarint(r.b[at:])
		if size <= 0 || length > uint64(len(r.b)-at-size) {
			r.bad = true
			return nil
		}
		at += size + int(length)
	}
	return r.take(at)
}
