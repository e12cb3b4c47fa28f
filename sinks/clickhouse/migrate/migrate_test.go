package migrate_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/migrate"
	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/views"
)

func TestApplyTwiceChangesNothing(t *testing.T) {
	conn := enginetest.Open(t)
	count := "SELECT (SELECT count() FROM schema_migrations), (SELECT count() FROM kpi_definitions)"
	before := enginetest.Query(t, conn, count)
	if err := migrate.Apply(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if after := enginetest.Query(t, conn, count); after != before {
		t.Errorf("migrations and definitions: %s, then %s", before, after)
	}
	if got := enginetest.Query(t, conn, "SELECT count() FROM kpi_definitions FINAL"); got == "0" {
		t.Error("no definitions")
	}
	findings, err := migrate.Check(t.Context(), conn)
	if err != nil || len(findings) != 0 {
		t.Errorf("check after apply: %v %v", findings, err)
	}
}

func TestApplyAddsColumnsAndRefusesOtherTypes(t *testing.T) {
	conn := enginetest.Open(t)
	enginetest.Exec(t, conn, "ALTER TABLE turns DROP COLUMN paused_ms",
		"TRUNCATE TABLE schema_migrations", "ALTER TABLE voids MODIFY SETTING "+
			"non_replicated_deduplication_window = 0")
	findings, err := migrate.Check(t.Context(), conn)
	if err != nil || len(findings) != 2 || !strings.Contains(findings[0], "turns.paused_ms is missing") ||
		!strings.Contains(findings[1], "voids has no deduplication window") {
		t.Errorf("findings %q, %v", findings, err)
	}
	if err := migrate.Apply(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	if got := enginetest.Query(t, conn, "SELECT count() FROM system.columns WHERE table = 'turns' "+
		"AND name = 'paused_ms'"); got != "1" {
		t.Errorf("paused_ms: %s columns", got)
	}
	enginetest.Exec(t, conn, "ALTER TABLE turns MODIFY COLUMN paused_ms String",
		"TRUNCATE TABLE schema_migrations")
	if err := migrate.Apply(t.Context(), conn); err == nil ||
		!strings.Contains(err.Error(), "paused_ms is String instead of Int64") {
		t.Errorf("a column of another type: %v", err)
	}
	enginetest.Exec(t, conn, "INSERT INTO schema_migrations VALUES (99, 'tables', 'x', now64(3))")
	if err := migrate.Apply(t.Context(), conn); err == nil ||
		!strings.Contains(err.Error(), "newer than this program") {
		t.Errorf("a later schema: %v", err)
	}
}

func TestTablesAreAsTheContractSays(t *testing.T) {
	conn := enginetest.Open(t)
	have := map[string]bool{}
	for line := range strings.SplitSeq(enginetest.Query(t, conn, "SELECT table, name, type, "+
		"default_kind FROM system.columns WHERE database = 'usher'"), "\n") {
		have[line] = true
	}
	for _, table := range schema.Tables() {
		for _, c := range table.AllColumns() {
			want := table.Name + "\t" + c.Name + "\t" + strings.ReplaceAll(c.Type, "'", `\'`) + "\t"
			if !have[want] {
				t.Errorf("no column %q", want)
			}
		}
	}
	out := migrate.Print("usher")
	for _, want := range []string{
		"CREATE DATABASE IF NOT EXISTS usher", "CREATE TABLE IF NOT EXISTS events",
		"non_replicated_deduplication_window = 10000", "CONSTRAINT not_expired",
		"CREATE OR REPLACE VIEW kpi_volume",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the printed schema lacks %q", want)
		}
	}
}

func TestTheServerRefusesAnExpiredLease(t *testing.T) {
	conn := enginetest.Open(t)
	_, err := enginetest.Ask(t.Context(), conn, "INSERT INTO voids (tenant, _lease_until) "+
		"VALUES ('a', fromUnixTimestamp64Milli("+time.Now().Add(-time.Second).Format("20060102")+"))")
	if err == nil || !strings.Contains(err.Error(), "not_expired") {
		t.Errorf("an expired lease: %v", err)
	}
}

func TestEveryViewIsDefined(t *testing.T) {
	conn := enginetest.Open(t)
	for _, k := range views.KPIs() {
		got := enginetest.Query(t, conn, "SELECT comment FROM system.tables WHERE name = '"+k.View()+"'")
		if !strings.HasPrefix(got, fmt.Sprintf("%s v%d ", k.Name, k.Version)) {
			t.Errorf("%s has comment %q", k.View(), got)
		}
		for what, text := range map[string]string{
			"definition": k.Definition, "formula": k.Formula, "unit": k.Unit, "source": k.Source,
			"edge cases": k.EdgeCases, "example": k.Example,
		} {
			if text == "" {
				t.Errorf("%s has no %s", k.Name, what)
			}
		}
		if (k.Form == views.Rate) != (k.Numerator != "" && k.Denominator != "") {
			t.Errorf("%s is a %s with numerator %q", k.Name, k.Form, k.Numerator)
		}
		columns := "counted_at, started_at, day, tenant, channel, lang, region, queue, team, " +
			"agent_id, conversation_id, cycle_id, final, "
		if k.Form == views.Rate {
			columns += "num, den"
		} else {
			columns += "value"
		}
		if got := enginetest.Query(t, conn, "SELECT "+columns+" FROM "+k.View()); got != "" {
			t.Errorf("%s on empty tables: %q", k.View(), got)
		}
	}
}
