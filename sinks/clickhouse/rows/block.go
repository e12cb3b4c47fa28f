// Package rows builds the row blocks of usher.rows.v1: ClickHouse's Native format, column by
// column, from the structs of package schema; and merges blocks into one insert. Neither does
// anything per row but copy bytes: no reflection, no allocation once the buffers have grown. Most
// cells of most rows are empty: a row costs its cells that are not, and a scan for them.
package rows

import (
	"encoding/binary"
	"reflect"
	"slices"
	"unsafe"

	"usher/sinks/clickhouse/schema"
)

// BytesMax is the size at which the router cuts a block, so that a record stays far below the
// broker's 1 MiB limit.
const BytesMax = 900_000

// column is the growing part of one column of a block.
type column struct {
	schema.Column
	header []byte // name and type as the format writes them
	nulls  []byte // one byte a row, when the wire type is Nullable
	ends   []byte // cumulative lengths, for arrays and maps
	data   []byte
	more   []byte // values of a map, whose keys are in data
	total  uint64 // elements so far, for arrays and maps
	width  int    // bytes of a fixed cell
	rows   int    // that have their cell; those after them up to the block's are empty
}

// Block collects rows of one table. It is not safe for concurrent use.
type Block[T any] struct {
	table   *schema.Table
	columns []column
	rows    int
	bytes   int // exact encoded size of the columns, without headers
	heads   int // size of the column headers
	fixed   int // bytes of a row whose cells are all empty
	// cells[first[w]:first[w+1]] are the columns that lie in the row's 64-bit word w.
	cells []uint16
	first []uint16
}

// NewBlock makes an empty block for t, whose rows must be of type T.
func NewBlock[T any](t *schema.Table) *Block[T] {
	if t.Row != reflect.TypeFor[T]() {
		panic("BUG: rows of " + t.Name + " are " + t.Row.Name() + ", not " +
			reflect.TypeFor[T]().Name())
	}
	b := &Block[T]{table: t}
	for _, c := range t.Columns {
		head := appendString(appendString(nil, c.Name), c.Wire)
		b.heads += len(head)
		b.columns = append(b.columns, column{Column: c, header: head, width: width(c.Kind)})
		b.fixed += b.columns[len(b.columns)-1].fixedBytes()
	}
	b.index()
	return b
}

// index notes which columns lie in which word of a row. A cell that is neither empty nor NULL has a
// word that is not zero: its value, its length, or its OK.
func (b *Block[T]) index() {
	var row T
	words := int(unsafe.Sizeof(row) / wordBytes)
	if unsafe.Sizeof(row)%wordBytes != 0 {
		panic("BUG: rows of " + b.table.Name + " are no whole words")
	}
	in := make([][]uint16, words)
	for i := range b.columns {
		c := &b.columns[i]
		at := c.Offset
		if c.Nullable {
			at = c.OKOffset
		}
		in[at/wordBytes] = append(in[at/wordBytes], uint16(i))
		for w := at/wordBytes + 1; !c.Nullable && w < (c.Offset+c.size()+wordBytes-1)/wordBytes; w++ {
			in[w] = append(in[w], uint16(i))
		}
	}
	b.first = make([]uint16, 1, words+1)
	for _, columns := range in {
		b.cells = append(b.cells, columns...)
		b.first = append(b.first, uint16(len(b.cells)))
	}
}

const wordBytes = 8

// size is the number of bytes that tell whether the cell is empty: all of a fixed one, the pointer
// and length of the others.
func (c *column) size() uintptr {
	if c.width > 0 {
		return uintptr(c.width)
	}
	return 2 * wordBytes
}

// width is the number of bytes of a cell of kind k, 0 when it varies.
func width(k schema.Kind) int {
	switch k {
	case schema.KindFixed1:
		return 1
	case schema.KindFixed2:
		return 2
	case schema.KindFixed4:
		return 4
	case schema.KindFixed8:
		return 8
	case schema.KindUUID:
		return 16
	}
	return 0
}

// Table is the table that the block is for.
func (b *Block[T]) Table() *schema.Table { return b.table }

// Rows is the number of rows appended since the last Reset.
func (b *Block[T]) Rows() int { return b.rows }

// Bytes is the size that EncodeNative would append now, within a few bytes; the router cuts by it.
func (b *Block[T]) Bytes() int {
	if b.rows == 0 {
		return 0
	}
	return b.bytes + b.heads + 2*binary.MaxVarintLen32
}

// Reset empties the block and keeps its buffers.
func (b *Block[T]) Reset() {
	for i := range b.columns {
		c := &b.columns[i]
		c.nulls, c.ends, c.data, c.more = c.nulls[:0], c.ends[:0], c.data[:0], c.more[:0]
		c.total, c.rows = 0, 0
	}
	b.rows, b.bytes = 0, 0
}

// Append copies row into the block. Its strings and slices are not kept.
func (b *Block[T]) Append(row *T) {
	p := unsafe.Pointer(row)
	bytes := b.fixed
	for w, x := range unsafe.Slice((*uint64)(p), len(b.first)-1) {
		if x == 0 {
			continue
		}
		for _, i := range b.cells[b.first[w]:b.first[w+1]] {
			if c := &b.columns[i]; c.rows <= b.rows {
				c.pad(b.rows)
				bytes += c.append(p)
				c.rows++
			}
		}
	}
	b.bytes += bytes
	b.rows++
}

// pad adds empty cells up to so many rows.
func (c *column) pad(rows int) {
	n := rows - c.rows
	if n == 0 {
		return
	}
	c.rows = rows
	switch {
	case c.width > 0:
		c.data = appendZeros(c.data, n*c.width)
		if c.Nullable {
			c.nulls = appendNulls(c.nulls, n)
		}
	case c.Kind == schema.KindNullString:
		c.nulls = appendNulls(c.nulls, n)
		c.data = appendZeros(c.data, n)
	case c.Kind == schema.KindString:
		c.data = appendZeros(c.data, n)
	default:
		for range n {
			c.ends = binary.LittleEndian.AppendUint64(c.ends, c.total)
		}
	}
}

func appendZeros(dst []byte, n int) []byte {
	at := len(dst)
	dst = slices.Grow(dst, n)[:at+n]
	clear(dst[at:])
	return dst
}

func appendNulls(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, 1)
	}
	return dst
}

// append adds the cell that lies in the struct at p and returns its bytes beyond an empty one's.
func (c *column) append(p unsafe.Pointer) int {
	at := unsafe.Add(p, c.Offset)
	if c.Nullable {
		// A Go bool is one byte, 1 for true; the format's mask is 1 for NULL.
		known := *(*byte)(unsafe.Add(p, c.OKOffset))
		c.nulls = append(c.nulls, known^1)
		if known == 0 {
			c.data = appendZeros(c.data, c.width)
			return 0
		}
	}
	switch c.Kind {
	case schema.KindFixed1:
		c.data = append(c.data, *(*byte)(at))
	case schema.KindFixed2:
		c.data = binary.LittleEndian.AppendUint16(c.data, *(*uint16)(at))
	case schema.KindFixed4:
		c.data = binary.LittleEndian.AppendUint32(c.data, *(*uint32)(at))
	case schema.KindFixed8:
		c.data = binary.LittleEndian.AppendUint64(c.data, *(*uint64)(at))
	case schema.KindUUID:
		c.data = appendUUID(c.data, (*schema.UUID)(at))
	case schema.KindNullString:
		var null byte
		if *(*string)(at) == "" {
			null = 1
		}
		c.nulls = append(c.nulls, null)
		fallthrough
	case schema.KindString:
		before := len(c.data)
		c.data = appendString(c.data, *(*string)(at))
		return len(c.data) - before - 1
	default:
		before := len(c.data) + len(c.more)
		c.appendMany(at)
		return len(c.data) + len(c.more) - before
	}
	return 0
}

// fixedBytes is what an empty cell of c takes: its fixed width, its NULL mask, its array end, the
// length of its string.
func (c *column) fixedBytes() int {
	n := c.width
	if c.Nullable || c.Kind == schema.KindNullString {
		n++
	}
	switch {
	case c.Kind == schema.KindString || c.Kind == schema.KindNullString:
		n++
	case c.width == 0:
		n += 8
	}
	return n
}

// appendMany adds a cell of an array or map column.
func (c *column) appendMany(at unsafe.Pointer) {
	switch c.Kind {
	case schema.KindStrings:
		values := *(*[]string)(at)
		for _, s := range values {
			c.data = appendString(c.data, s)
		}
		c.total += uint64(len(values))
	case schema.KindFixed4s:
		values := *(*[]uint32)(at)
		for _, v := range values {
			c.data = binary.LittleEndian.AppendUint32(c.data, v)
		}
		c.total += uint64(len(values))
	case schema.KindFixed8s:
		values := *(*[]uint64)(at)
		for _, v := range values {
			c.data = binary.LittleEndian.AppendUint64(c.data, v)
		}
		c.total += uint64(len(values))
	case schema.KindUUIDs:
		values := *(*[]schema.UUID)(at)
		for i := range values {
			c.data = appendUUID(c.data, &values[i])
		}
		c.total += uint64(len(values))
	case schema.KindPairs:
		pairs := *(*[]schema.Pair)(at)
		for i := range pairs {
			c.data = appendString(c.data, pairs[i].Key)
			c.more = appendString(c.more, pairs[i].Value)
		}
		c.total += uint64(len(pairs))
	default:
		panic("BUG: column " + c.Name + " has no encoding")
	}
	c.ends = binary.LittleEndian.AppendUint64(c.ends, c.total)
}

// EncodeNative appends the block in Native format (revision 0, as the HTTP interface reads it).
func (b *Block[T]) EncodeNative(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b.columns)))
	dst = binary.AppendUvarint(dst, uint64(b.rows))
	for i := range b.columns {
		c := &b.columns[i]
		c.pad(b.rows)
		dst = append(dst, c.header...)
		dst = append(dst, c.nulls...)
		dst = append(dst, c.ends...)
		dst = append(dst, c.data...)
		dst = append(dst, c.more...)
	}
	return dst
}

// appendUUID writes u as the format does: two little-endian halves.
func appendUUID(dst []byte, u *schema.UUID) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, binary.BigEndian.Uint64(u[:8]))
	return binary.LittleEndian.AppendUint64(dst, binary.BigEndian.Uint64(u[8:]))
}

// appendString writes s with its length before it.
func appendString(dst []byte, s string) []byte {
	if len(s) < 0x80 { // nearly every cell
		dst = append(dst, byte(len(s)))
	} else {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
	}
	return append(dst, s...)
}
