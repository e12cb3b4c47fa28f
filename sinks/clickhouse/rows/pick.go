package rows

import (
	"encoding/binary"

	"usher/sinks/clickhouse/schema"
)

// Pick appends a Native block of those rows of m that keep wants, with their position columns, and
// returns how many they are. It is for repair: cells are walked one by one.
func (m *Merge) Pick(dst []byte, at Position, keep func(offset int64, sub int) bool) ([]byte, int) {
	var wanted []bool
	var offsets []int64
	var subs []int
	for _, r := range m.records {
		for sub := range r.rows {
			yes := keep(r.offset, sub)
			wanted = append(wanted, yes)
			if yes {
				offsets, subs = append(offsets, r.offset), append(subs, sub)
			}
		}
	}
	n := len(offsets)
	dst = binary.AppendUvarint(dst, uint64(len(m.columns)+len(schema.Position())))
	dst = binary.AppendUvarint(dst, uint64(n))
	for i := range m.columns {
		dst = m.columns[i].pick(dst, wanted)
	}
	return pickPosition(dst, at, offsets, subs), n
}

// pick appends the column with the wanted rows only.
func (p *part) pick(dst []byte, wanted []bool) []byte {
	dst = appendString(appendString(dst, p.name), p.typ)
	if p.nullable {
		for i, yes := range wanted {
			if yes {
				dst = append(dst, p.nulls[i])
			}
		}
	}
	data, more := cells{b: p.data, width: p.width}, cells{b: p.more, width: p.width}
	var out, outMore []byte
	before, total := uint64(0), uint64(0)
	for i, yes := range wanted {
		elements := uint64(1)
		if p.many {
			end := binary.LittleEndian.Uint64(p.ends[8*i:])
			elements, before = end-before, end
		}
		cell := data.take(elements)
		var second []byte
		if p.pairs {
			second = more.take(elements)
		}
		if !yes {
			continue
		}
		out, outMore = append(out, cell...), append(outMore, second...)
		if p.many {
			total += elements
			dst = binary.LittleEndian.AppendUint64(dst, total)
		}
	}
	return append(append(dst, out...), outMore...)
}

// pickPosition appends the columns of schema.Position.
func pickPosition(dst []byte, at Position, offsets []int64, subs []int) []byte {
	columns := schema.Position()
	head := func(i int) { dst = appendString(appendString(dst, columns[i].Name), columns[i].Wire) }
	head(0)
	for range offsets {
		dst = appendUUID(dst, &at.TopicID)
	}
	head(1)
	for range offsets {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(at.Partition))
	}
	head(2)
	for _, o := range offsets {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(o))
	}
	head(3)
	for _, s := range subs {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(s))
	}
	head(4)
	for range offsets {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(at.LeaseUntil))
	}
	return dst
}

// Texts are the cells of a String column of m, in the order of its rows; nil when m has no such
// column. They are valid until the next Reset.
func (m *Merge) Texts(column string) [][]byte {
	for i := range m.columns {
		p := &m.columns[i]
		if p.name != column || p.width != 0 || p.many {
			continue
		}
		out := make([][]byte, 0, m.rows)
		c := cells{b: p.data}
		for range m.rows {
			cell := c.take(1)
			_, size := binary.Uvarint(cell)
			out = append(out, cell[size:])
		}
		return out
	}
	return nil
}

// cells walks the cells of a column that Add has checked.
type cells struct {
	b     []byte
	width int // of a cell; 0 for strings
}

func (c *cells) take(n uint64) []byte {
	size := int(n) * c.width
	if c.width == 0 {
		for range n {
			length, head := binary.Uvarint(c.b[size:])
			size += head + int(length)
		}
	}
	out := c.b[:size]
	c.b = c.b[size:]
	return out
}
