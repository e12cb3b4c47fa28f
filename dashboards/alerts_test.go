package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"usher/dashboards/macros"
)

// alertCase is data on which an alert fires, data on which it does not, and data that would fire but
// for its minimum count or its calendar. Statements insert; @ stands for the end of the range.
type alertCase struct{ breaks, healthy, tooFew string }

// rows inserts n facts of one minute each before @ − back minutes: share of them with num = 1.
func rateRows(view string, n, ones, backMin int, more string) string {
	extra, values := "", ""
	if more != "" {
		extra, values, _ = strings.Cut(more, "=")
		extra, values = ", "+extra, ", "+values
	}
	return "INSERT INTO kpi_" + view + " (counted_at, tenant, final, num, den" + extra + ") SELECT @ - " +
		"INTERVAL " + strconv.Itoa(backMin) + " MINUTE - INTERVAL number SECOND, 'salon', 1, number < " +
		strconv.Itoa(ones) + ", 1" + values + " FROM numbers(" + strconv.Itoa(n) + ");"
}

func replies(n, waitMS int) string {
	return "INSERT INTO kpi_first_reply_human (counted_at, tenant, channel, value) SELECT @ - INTERVAL " +
		"number + 1 SECOND, 'salon', 'web', " + strconv.Itoa(waitMS) + " FROM numbers(" + strconv.Itoa(n) + ");"
}

func wait(minutes int, outOfHours string) string {
	return "INSERT INTO conversations_latest VALUES ('salon', '', NULL, @ - INTERVAL " +
		strconv.Itoa(minutes) + " MINUTE, toStartOfMonth(@), " + outOfHours + ");"
}

// events inserts n events one second apart, ending backMin minutes before @, stored after the delay.
func eventRows(n, backMin, storedAfterMS int) string {
	at := "@ - INTERVAL " + strconv.Itoa(backMin) + " MINUTE - INTERVAL number SECOND"
	return "INSERT INTO events (tenant, time, received_at, _lease_until) SELECT 'salon', " + at + ", " + at +
		", " + at + " + INTERVAL " + strconv.Itoa(60_000+storedAfterMS) + " MILLISECOND FROM numbers(" +
		strconv.Itoa(n) + ");"
}

func audit(backMin, missing int) string {
	return "INSERT INTO delivery_audit VALUES (@ - INTERVAL " + strconv.Itoa(backMin) +
		" MINUTE, 'input', 0, 100, 90, 4, 6, " + strconv.Itoa(missing) + ", 0);"
}

const sameWeek, weekAgo = 1, 1 + 7*24*60

func alertCases() map[string]alertCase {
	usual := eventRows(25, weekAgo, 0) + eventRows(25, weekAgo+7*24*60, 0) +
		eventRows(25, weekAgo+14*24*60, 0)
	within := "within_ms=180000"
	return map[string]alertCase{
		"usher-first-reply": {replies(20, 900_001), replies(20, 900_000), replies(19, 9_000_000)},
		"usher-burn-fast": {
			rateRows(serviceLevel, 30, 15, 1, within), rateRows(serviceLevel, 30, 24, 1, within),
			rateRows(serviceLevel, 19, 0, 1, within),
		},
		"usher-burn-slow": {
			rateRows(serviceLevel, 100, 70, 1, within), rateRows(serviceLevel, 100, 80, 1, within),
			rateRows(serviceLevel, 49, 0, 1, within),
		},
		"usher-oldest-wait": {wait(13, "NULL"), wait(11, "0"), wait(13, "1") + wait(25*60, "0")},
		"usher-escalations": {
			rateRows(escalation, 60, 30, sameWeek, "") + rateRows(escalation, 60, 10, weekAgo, ""),
			rateRows(escalation, 60, 20, sameWeek, "") + rateRows(escalation, 60, 10, weekAgo, ""),
			rateRows(escalation, 60, 60, sameWeek, "") + rateRows(escalation, 49, 1, weekAgo, ""),
		},
		"usher-precision": {
			rateRows(autoPrecision, 200, 189, 1, ""), rateRows(autoPrecision, 200, 190, 1, ""),
			rateRows(autoPrecision, 199, 0, 1, ""),
		},
		"usher-silent": {usual, usual + eventRows(1, 1, 0), usual +
			rateRows("out_of_hours", 1, 1, weekAgo, "") + strings.ReplaceAll(eventRows(19, weekAgo, 0),
			"'salon'", "'bank'")},
		"usher-balance": {audit(5, 1), audit(5, 0), audit(90, 1)},
		"usher-audit":   {audit(16, 0), audit(16, 0) + audit(1, 0), ""},
		"usher-lag": {
			"INSERT INTO process_metrics VALUES ('a', 'usher_lag_seconds', 'group=usher.sink', 61, @);",
			"INSERT INTO process_metrics VALUES ('a', 'usher_lag_seconds', 'group=usher.sink', 99, @ - 60)," +
				" ('a', 'usher_lag_seconds', 'group=usher.sink', 60, @);", "",
		},
		"usher-rejected": {
			eventRows(1000, 1, 0) + "INSERT INTO dead_letters SELECT @ - 1 FROM numbers(2);",
			eventRows(1000, 1, 0) + "INSERT INTO dead_letters SELECT @ - 1 FROM numbers(1);",
			eventRows(100, 1, 0) + "INSERT INTO dead_letters SELECT @ - 1 FROM numbers(50);",
		},
		"usher-queryable-fast": {
			eventRows(1000, 1, 100) + eventRows(100, 1, 6_000), eventRows(1000, 1, 100) + eventRows(10, 1, 6_000),
			eventRows(99, 1, 60_000),
		},
		"usher-queryable-slow": {
			eventRows(1000, 1, 100) + eventRows(10, 1, 6_000), eventRows(1000, 1, 100) + eventRows(5, 1, 6_000),
			eventRows(99, 1, 60_000),
		},
	}
}

// alertTables are the tables that alerts read, in the shape of the contract.
func (e engine) alertTables() {
	for _, view := range []string{firstReplyHuman, escalation, autoPrecision, "out_of_hours"} {
		e.kpiTable(view, "", nil)
	}
	e.kpiTable(serviceLevel, ", within_ms Int64", nil)
	const instant = "DateTime64(3, 'UTC')"
	for name, columns := range map[string]string{
		"conversations_latest": "tenant String, voided String, closed_at Nullable(" + instant + "), " +
			"waiting_since Nullable(" + instant + "), _opened_month Date, out_of_hours Nullable(UInt8)",
		"events": "tenant String, time " + instant + ", received_at " + instant + ", _lease_until " + instant,
		"delivery_audit": "at " + instant + ", scope String, from_offset Int64, to_offset Int64, " +
			"stored UInt64, dead UInt64, gaps UInt64, missing UInt64, duplicated UInt64",
		"process_metrics": "instance String, name String, labels String, value Float64, at " + instant,
		"dead_letters":    "received_at " + instant,
	} {
		e.run("usher", "CREATE TABLE "+name+" ("+columns+") ENGINE = MergeTree ORDER BY tuple()")
	}
}

// TestAlerts: every alert fires on data made to break it, and neither on healthy data nor where its
// minimum count or its calendar says that chance speaks.
func TestAlerts(t *testing.T) {
	e := startEngine(t)
	e.run("default", "CREATE DATABASE usher")
	e.alertTables()
	tables := strings.Fields(e.run("usher", "SHOW TABLES"))
	end := week().To
	at := "toDateTime64('" + end.Format(time.DateTime) + "', 3, 'UTC')"
	cases := alertCases()
	for _, a := range alerts() {
		c, ok := cases[a.uid]
		if !ok {
			t.Errorf("no data for alert %s", a.uid)
		}
		for i, statements := range []string{c.breaks, c.healthy, c.tooFew} {
			for _, table := range tables {
				e.run("usher", "TRUNCATE TABLE "+table)
			}
			for statement := range strings.SplitSeq(statements, ";") {
				if statement != "" {
					e.run("usher", strings.ReplaceAll(statement, "@", at))
				}
			}
			window := macros.Window{From: end.Add(-time.Duration(a.rangeS) * time.Second), To: end}
			sql, err := macros.Expand(a.sql, window)
			if err != nil {
				t.Fatal(err)
			}
			if fires := a.fires(t, e.run("usher", sql)); fires != (i == 0) {
				t.Errorf("%s: fires is %v on %q", a.uid, fires, statements)
			}
		}
	}
}

// fires applies the threshold to the last column of each row, as Grafana does.
func (a alert) fires(t *testing.T, answer string) bool {
	t.Helper()
	for line := range strings.SplitSeq(answer, "\n") {
		if line == "" {
			continue
		}
		fields := strings.Split(line, "\t")
		value, err := strconv.ParseFloat(fields[len(fields)-1], 64)
		if err != nil {
			t.Errorf("%s: the last column is no number: %q", a.uid, line)
		}
		if a.below && value < a.threshold || !a.below && value > a.threshold {
			return true
		}
	}
	return false
}

// TestAlertsLeadSomewhere: each alert's runbook section exists and has symptom, check and action;
// its panel exists, with the same number as one of its colours where the alert is no ratio.
func TestAlertsLeadSomewhere(t *testing.T) {
	runbook, err := os.ReadFile(filepath.Join("..", "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(runbook), "\n## ") {
		heading, body, _ := strings.Cut(section, "\n")
		anchor := regexp.MustCompile(`[^\w -]`).ReplaceAllString(strings.ToLower(heading), "")
		sections[strings.ReplaceAll(anchor, " ", "-")] = body
	}
	steps := map[string][]float64{}
	for _, b := range boards() {
		d, err := b.build()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			for _, step := range p.Panel.FieldConfig.Defaults.Thresholds.Steps {
				if step.Value != nil {
					key := *d.Uid + "/" + *p.Panel.Title
					steps[key] = append(steps[key], *step.Value)
				}
			}
		}
	}
	ratios := []string{"usher-burn-fast", "usher-burn-slow", "usher-escalations", "usher-silent",
		"usher-audit", "usher-queryable-fast", "usher-queryable-slow"}
	for _, a := range alerts() {
		for _, part := range []string{"**Symptom.**", "**Check.**", "**Action.**"} {
			if !strings.Contains(sections[a.section], part) {
				t.Errorf("%s: docs/operations.md has no section %s with %s", a.uid, a.section, part)
			}
		}
		same := false
		for _, step := range steps[a.board+"/"+a.panel] {
			same = same || step == a.threshold
		}
		ratio := false
		for _, uid := range ratios {
			ratio = ratio || uid == a.uid
		}
		if same == ratio {
			t.Errorf("%s fires at %v, its panel colours at %v", a.uid, a.threshold, steps[a.board+"/"+a.panel])
		}
	}
	// The burn of a page is where the panel turns red.
	if red := 1 - burnFast*serviceBudget; serviceLevelTarget.bad != red {
		t.Errorf("the service level is red below %v, the page comes below %v", serviceLevelTarget.bad, red)
	}
}

// TestAlertFile: Grafana replaces $NAME in these files, so that every $ of a query is doubled, and
// what is left is what was meant.
func TestAlertFile(t *testing.T) {
	raw, err := Alerts()
	if err != nil {
		t.Fatal(err)
	}
	var file alertFile
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	rules := file.Groups[0].Rules
	if len(rules) != len(alerts()) {
		t.Fatalf("%d rules, want %d", len(rules), len(alerts()))
	}
	for i, a := range alerts() {
		sql, _ := rules[i].Data[0].Model["rawSql"].(string)
		parts := strings.Split(sql, "$$")
		for k, part := range parts {
			parts[k] = os.Expand(part, func(string) string { return "LOST" })
		}
		if got := strings.Join(parts, "$"); got != a.sql {
			t.Errorf("%s: Grafana would ask\n%s\nand not\n%s", a.uid, got, a.sql)
		}
		if got := os.Expand(rules[i].Annotations["runbook_url"], func(string) string { return "doc" }); got !=
			"doc#"+a.section {
			t.Errorf("%s: the runbook is at %s", a.uid, got)
		}
		if names := macros.Names(a.sql); len(names) > 0 {
			t.Errorf("%s uses variables, which alerts do not have: %v", a.uid, names)
		}
		if strings.Contains(a.sql, "$__interval") || strings.Contains(a.sql, "$__timeInterval") {
			t.Errorf("%s depends on the width of a panel", a.uid)
		}
	}
}
