package schema_test

import (
	"regexp"
	"strings"
	"testing"

	"usher/sinks/clickhouse/schema"
)

func TestColumnsAreDeclaredOnce(t *testing.T) {
	for _, table := range schema.Tables() {
		seen := map[string]bool{}
		for _, c := range table.AllColumns() {
			if seen[c.Name] {
				t.Errorf("%s has two columns %s", table.Name, c.Name)
			}
			seen[c.Name] = true
		}
		keys := regexp.MustCompile(`[a-z_]+`).FindAllString(table.OrderBy+" "+table.PartitionBy, -1)
		for _, k := range keys {
			if !seen[k] {
				t.Errorf("%s is ordered or partitioned by %s, which it lacks", table.Name, k)
			}
		}
	}
}

func TestEveryIngestTableIsFenced(t *testing.T) {
	var filled []string
	for _, table := range schema.Tables() {
		ddl := table.CreateTable()
		fenced := strings.Contains(ddl, "CONSTRAINT not_expired CHECK _lease_until > now64(3)") &&
			strings.Contains(ddl, "SETTINGS non_replicated_deduplication_window = 10000") &&
			strings.Contains(ddl, "INDEX ix_position (_topic_id, _partition, _offset) TYPE minmax")
		if fenced != (table.Writer != schema.Direct) {
			t.Errorf("%s: written by %d, fenced %v", table.Name, table.Writer, fenced)
		}
		if table.Writer != schema.Direct {
			filled = append(filled, table.Name)
		}
		for _, word := range []string{"DEFAULT", "MATERIALIZED", "ALIAS", "TTL"} {
			if strings.Contains(ddl, " "+word+" ") {
				t.Errorf("%s: the server computes a column: %s", table.Name, word)
			}
		}
	}
	if last := filled[len(filled)-1]; last != schema.TableVoids {
		t.Errorf("a range ends with %s; voids must be last", last)
	}
}

func TestPositionTravelsWithEveryBlock(t *testing.T) {
	names := ""
	for _, c := range schema.Position() {
		names += c.Name + " "
	}
	if names != "_topic_id _partition _offset _sub _lease_until " {
		t.Errorf("position columns: %s", names)
	}
	for _, table := range schema.Tables() {
		if table.Writer == schema.ByRows && !table.HasColumn("_src_offset") {
			t.Errorf("%s does not name the input record", table.Name)
		}
	}
}

func TestQuote(t *testing.T) {
	if got := schema.Quote(`a'b\c`); got != `'a\'b\\c'` {
		t.Error(got)
	}
}
