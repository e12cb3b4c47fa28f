package rows_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"usher/sinks/clickhouse/schema"
)

// words hold what encoders get wrong: nothing, length bytes at their edge, scripts, raw bytes.
func words() []string {
	return []string{
		"", "a", "deal", "Сколько стоит?", "你好", "ā\u0000b", "\xff\xfe", strings.Repeat("x", 127),
		strings.Repeat("y", 128), strings.Repeat("ž", 150),
	}
}

// fill puts random values into every field of v, with a share of zeros.
func fill(v reflect.Value, r *rand.Rand) {
	if r.IntN(4) == 0 {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), r)
		}
	case reflect.String:
		v.SetString(words()[r.IntN(len(words()))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.Uint64()) >> (64 - v.Type().Bits()))
		if v.Type() == reflect.TypeFor[schema.Instant]() {
			v.SetInt(r.Int64N(4e12))
		}
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(r.Uint64() >> (64 - v.Type().Bits()))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), r)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), r.IntN(4), 4))
		for i := range v.Len() {
			fill(v.Index(i), r)
		}
	default:
		panic("no filler for " + v.Type().String())
	}
}

// wants walks the struct by its tags and gives each column's cell as the plain value that a reader
// of ClickHouse expects. It shares nothing with the encoder.
func wants(v reflect.Value, out map[string]any) {
	t := v.Type()
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			wants(v.Field(i), out)
			continue
		}
		cell := plain(v.Field(i))
		if s, ok := cell.(string); ok && s == "" && f.Tag.Get("type") == "lcnull" {
			cell = nil
		}
		out[f.Tag.Get("ch")] = cell
	}
	if t == reflect.TypeFor[schema.Decision]() && out["label"] == "" {
		out["label"] = nil
	}
}

func plain(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case schema.Instant:
		return time.UnixMilli(int64(x)).UTC().Format(time.RFC3339Nano)
	case schema.Day:
		return time.Unix(int64(x)*86400, 0).UTC().Format(time.DateOnly)
	case schema.UUID:
		return uuid.UUID(x).String()
	case bool:
		if x {
			return "1"
		}
		return "0"
	case string:
		return x
	case []schema.Pair:
		out := []string{}
		for _, p := range x {
			out = append(out, p.Key, p.Value)
		}
		return strings.Join(out, "|")
	}
	switch v.Kind() {
	case reflect.Struct:
		if !v.FieldByName("OK").Bool() {
			return nil
		}
		return plain(v.FieldByName("V"))
	case reflect.Slice:
		var out []string
		for i := range v.Len() {
			out = append(out, fmt.Sprint(plain(v.Index(i))))
		}
		return strings.Join(out, "|")
	}
	return fmt.Sprint(v.Interface())
}

// decode reads a Native block with ch-go, as rows of column → cell.
func decode(t *testing.T, block []byte) []map[string]any {
	t.Helper()
	var results proto.Results
	var b proto.Block
	r := proto.NewReader(bytes.NewReader(block))
	if err := b.DecodeRawBlock(r, 0, results.Auto()); err != nil {
		t.Fatalf("ch-go cannot read the block: %v", err)
	}
	out := make([]map[string]any, b.Rows)
	for i := range out {
		out[i] = map[string]any{}
		for _, c := range results {
			out[i][c.Name] = cell(c.Data, i)
		}
	}
	return out
}

// cell is row i of a ch-go column, in the form of plain.
func cell(c proto.ColResult, i int) any {
	if a, ok := c.(*proto.ColAuto); ok {
		return cell(a.Data.(proto.ColResult), i)
	}
	if m, ok := c.(*proto.ColMap[string, string]); ok {
		out := []string{}
		for _, kv := range m.RowKV(i) {
			out = append(out, kv.Key, kv.Value)
		}
		return strings.Join(out, "|")
	}
	rv := reflect.ValueOf(c)
	got := rv.MethodByName("Row").Call([]reflect.Value{reflect.ValueOf(i)})[0]
	return show(got)
}

func show(v reflect.Value) any {
	switch x := v.Interface().(type) {
	case time.Time:
		if x.Equal(x.Truncate(24*time.Hour)) && v.Type().Name() == "Date" {
			return x.Format(time.DateOnly)
		}
		return x.UTC().Format(time.RFC3339Nano)
	case string:
		return x
	case uuid.UUID:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Struct: // proto.Nullable
		if !v.FieldByName("Set").Bool() {
			return nil
		}
		return show(v.FieldByName("Value"))
	case reflect.Slice:
		var out []string
		for i := range v.Len() {
			out = append(out, fmt.Sprint(show(v.Index(i))))
		}
		return strings.Join(out, "|")
	}
	return fmt.Sprint(v.Interface())
}

// same fails unless the decoded rows hold what the structs held. Dates and maps come out of ch-go
// in a form of their own.
func same(t *testing.T, name string, got []map[string]any, want []map[string]any) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d rows, want %d", name, len(got), len(want))
	}
	for i := range want {
		for column, w := range want[i] {
			g, ok := got[i][column]
			if !ok {
				t.Fatalf("%s: no column %s", name, column)
			}
			if d, isDate := g.(string); isDate && strings.HasSuffix(d, "T00:00:00Z") {
				g = strings.TrimSuffix(d, "T00:00:00Z")
				if ws, ok := w.(string); ok {
					w = strings.TrimSuffix(ws, "T00:00:00Z")
				}
			}
			if diff := cmp.Diff(w, g); diff != "" {
				t.Fatalf("%s row %d column %s (-want +got):\n%s", name, i, column, diff)
			}
		}
	}
}
