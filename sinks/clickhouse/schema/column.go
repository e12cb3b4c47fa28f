package schema

import (
	"fmt"
	"reflect"
)

// Kind is how a column's cells lie in the Go struct and in a Native block.
type Kind uint8

// The kinds. Fixed-width ones are copied byte by byte: ClickHouse and the machines usher runs on
// are little-endian.
const (
	KindFixed1 Kind = iota // bool, int8, uint8
	KindFixed2
	KindFixed4
	KindFixed8
	KindUUID
	KindString
	KindNullString // "" is NULL
	KindStrings    // Array(String)
	KindFixed4s    // Array of 4-byte values
	KindFixed8s    // Array of 8-byte values
	KindUUIDs
	KindPairs // Map(String, String)
)

// Column is one column of a table: its declaration and its place in the Go struct.
type Column struct {
	Name  string
	Type  string // as the table declares it
	Wire  string // as it travels: LowCardinality is left to the server, which converts cheaper
	Codec string // "" leaves ClickHouse's default

	Kind     Kind
	Offset   uintptr // of the value in the struct
	Nullable bool    // an Opt: OKOffset holds its OK
	OKOffset uintptr
}

var (
	instantType = reflect.TypeFor[Instant]()
	dayType     = reflect.TypeFor[Day]()
	uuidType    = reflect.TypeFor[UUID]()
	pairsType   = reflect.TypeFor[[]Pair]()
)

// columnsOf reads the columns off the tags of t. Embedded structs are flattened in place.
func columnsOf(t reflect.Type, base uintptr) []Column {
	var out []Column
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, columnsOf(f.Type, base+f.Offset)...)
			continue
		}
		name := f.Tag.Get("ch")
		if name == "" {
			panic(fmt.Sprintf("BUG: %s.%s has no ch tag", t.Name(), f.Name))
		}
		c := column(f.Type, f.Tag.Get("type"))
		c.Name, c.Codec = name, f.Tag.Get("codec")
		if c.Codec == "" {
			c.Codec = defaultCodec(c.Type)
		}
		c.Offset += base + f.Offset
		c.OKOffset += base + f.Offset
		out = append(out, c)
	}
	return out
}

// defaultCodec follows what was measured: instants and offsets compress best as differences.
func defaultCodec(typ string) string {
	switch typ {
	case "DateTime64(3, 'UTC')", "Nullable(DateTime64(3, 'UTC'))":
		return "Delta(8), ZSTD(1)"
	case "UInt8", "Int8", "LowCardinality(String)", "LowCardinality(Nullable(String))":
		return ""
	}
	return "ZSTD(1)"
}

// column is the declaration of a field of type t; Offset is relative to the field.
func column(t reflect.Type, hint string) Column {
	if t.Kind() == reflect.Struct { // Opt
		v, ok := t.FieldByName("V")
		okField, both := t.FieldByName("OK")
		if !ok || !both {
			panic("BUG: a column of struct type must be an Opt, not " + t.String())
		}
		c := scalar(v.Type)
		c.Type, c.Wire = "Nullable("+c.Type+")", "Nullable("+c.Wire+")"
		c.Nullable, c.Offset, c.OKOffset = true, v.Offset, okField.Offset
		return c
	}
	switch {
	case t == pairsType:
		return same("Map(String, String)", KindPairs)
	case t.Kind() == reflect.Slice:
		return array(t.Elem())
	case t.Kind() != reflect.String:
		return scalar(t)
	}
	switch hint {
	case "":
		return same("String", KindString)
	case "lc":
		return Column{Type: "LowCardinality(String)", Wire: "String", Kind: KindString}
	case "lcnull":
		return Column{
			Type: "LowCardinality(Nullable(String))", Wire: "Nullable(String)",
			Kind: KindNullString,
		}
	}
	panic("BUG: unknown type hint " + hint)
}

func same(typ string, kind Kind) Column { return Column{Type: typ, Wire: typ, Kind: kind} }

// scalar is the declaration of a fixed-width type.
func scalar(t reflect.Type) Column {
	switch t {
	case instantType:
		return same("DateTime64(3, 'UTC')", KindFixed8)
	case dayType:
		return same("Date", KindFixed2)
	case uuidType:
		return same("UUID", KindUUID)
	}
	switch t.Kind() {
	case reflect.Bool:
		return same("UInt8", KindFixed1)
	case reflect.Int8:
		return same("Int8", KindFixed1)
	case reflect.Int32:
		return same("Int32", KindFixed4)
	case reflect.Uint32:
		return same("UInt32", KindFixed4)
	case reflect.Int64:
		return same("Int64", KindFixed8)
	case reflect.Uint64:
		return same("UInt64", KindFixed8)
	case reflect.Float64:
		return same("Float64", KindFixed8)
	}
	panic("BUG: no column type for " + t.String())
}

// array is the declaration of a slice of elem.
func array(elem reflect.Type) Column {
	if elem.Kind() == reflect.String {
		return Column{
			Type: "Array(LowCardinality(String))", Wire: "Array(String)", Kind: KindStrings,
		}
	}
	e := scalar(elem)
	kind := map[Kind]Kind{KindFixed4: KindFixed4s, KindFixed8: KindFixed8s, KindUUID: KindUUIDs}
	k, ok := kind[e.Kind]
	if !ok {
		panic("BUG: no array column for " + elem.String())
	}
	return same("Array("+e.Type+")", k)
}
