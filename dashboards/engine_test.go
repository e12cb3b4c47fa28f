package dashboards

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"usher/dashboards/macros"
	"usher/sinks/clickhouse/embedded/embeddedtest"
)

// engine is the real ClickHouse, asked over HTTP as the plugin asks it.
type engine struct {
	t    *testing.T
	base string
}

func startEngine(t *testing.T) engine {
	return engine{t, "http://" + embeddedtest.Start(t) + "/?"}
}

// run returns the answer as tab-separated text without its last newline.
func (e engine) run(database, sql string) string {
	e.t.Helper()
	answer, err := e.try(database, sql)
	if err != nil {
		e.t.Fatalf("%v\n%s", err, sql)
	}
	return answer
}

func (e engine) try(database, sql string) (string, error) {
	query := url.Values{"database": {database}, "default_format": {"TabSeparated"}}
	response, err := http.Post(e.base+query.Encode(), "text/plain", strings.NewReader(sql))
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", response.StatusCode, body)
	}
	return strings.TrimSuffix(string(body), "\n"), err
}

// The board shows the week that ends at this instant.
func week() macros.Window {
	to := time.Date(2026, 10, 20, 12, 0, 0, 0, time.UTC)
	return macros.Window{From: to.AddDate(0, 0, -7), To: to, Interval: time.Hour}
}

// everything is what the variables stand for when the reader has chosen nothing.
func everything() map[string]macros.Value {
	values := map[string]macros.Value{}
	for _, d := range dimensions() {
		values[d.name] = macros.Value{Raw: allValues}
	}
	return values
}

// chosen is everything but for one variable.
func chosen(name string, list ...string) map[string]macros.Value {
	values := everything()
	values[name] = macros.Value{List: list}
	return values
}

// as Grafana and the plugin would send it.
func expanded(t *testing.T, sql string, values map[string]macros.Value) string {
	t.Helper()
	out, err := macros.Expand(macros.Interpolate(sql, values), week())
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	return out
}

const hostileQueue = `o'neil\ $__toTime -- /* ' OR 1 = 1`

// fact is one row of a KPI view.
type fact struct {
	at                           string // within 2026-10
	tenant, channel, queue, lang string
	value, num                   any // den is 1 where num is known
	agent, conversation, extra   string
	final                        int
}

// kpiTable makes a table of the shape that the contract gives a KPI view, so that the boards' SQL
// is tested against the contract and not against the views' own SQL.
func (e engine) kpiTable(view, extraColumn string, facts []fact) {
	e.t.Helper()
	e.run("usher", "CREATE TABLE kpi_"+view+` (
  counted_at DateTime64(3, 'UTC'), started_at DateTime64(3, 'UTC'), day Date,
  tenant LowCardinality(String), channel LowCardinality(String), lang LowCardinality(String),
  region LowCardinality(String), team LowCardinality(String), queue LowCardinality(String),
  agent_id LowCardinality(String), label LowCardinality(String), variant LowCardinality(String),
  conversation_id String, cycle_id String, final UInt8,
  value Nullable(Int64), num Nullable(Int64), den Nullable(Int64)`+extraColumn+
		") ENGINE = MergeTree ORDER BY counted_at")
	for i, f := range facts {
		columns, values := "", ""
		if extraColumn != "" {
			columns, values = ", "+strings.Fields(extraColumn)[1], ", "+quote(f.extra)
		}
		e.run("usher", fmt.Sprintf("INSERT INTO kpi_%s (counted_at, tenant, channel, queue, lang, "+
			"value, num, den, agent_id, conversation_id, cycle_id, final%s) VALUES ('2026-10-%s', %s, %s, "+
			"%s, %s, %s, %s, %s, %s, %s, '%d', %d%s)", view, columns, f.at, quote(f.tenant),
			quote(f.channel),
			quote(f.queue), quote(f.lang), null(f.value), null(f.num), null(one(f.num)), quote(f.agent),
			quote(f.conversation), i, f.final, values))
	}
}

func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

func null(v any) string {
	if v == nil {
		return "NULL"
	}
	return fmt.Sprint(v)
}

func one(num any) any {
	if num == nil {
		return nil
	}
	return 1
}

// fixtures: five facts in the week, two in the week before, one long before. One queue has the
// worst name that a producer could choose, one conversation has neither queue nor language.
func (e engine) fixtures() {
	where := []fact{
		{at: "20 10:05:00", tenant: "salon", channel: "whatsapp", queue: "front", lang: "lv"},
		{at: "20 10:10:00", tenant: "salon", channel: "whatsapp", queue: "front", lang: "ru"},
		{at: "20 11:20:00", tenant: "bank", channel: "web", queue: "cards", lang: "en"},
		{at: "19 09:00:00", tenant: "bank", channel: "app"},
		{at: "18 23:00:00.500", tenant: "shop", channel: "web", queue: hostileQueue, lang: "pl"},
		{at: "12 10:00:00", tenant: "salon", channel: "whatsapp", queue: "front", lang: "lv"},
		{at: "13 11:00:00", tenant: "bank", channel: "web", queue: "cards", lang: "en"},
		{at: "01 11:00:00", tenant: "bank", channel: "web", queue: "cards", lang: "en"},
	}
	with := func(set func(i int, f *fact)) []fact {
		facts := make([]fact, 0, len(where))
		for i, f := range where {
			f.conversation, f.agent, f.final = fmt.Sprintf("c%d", i), "a1", 1-i%2
			set(i, &f)
			facts = append(facts, f)
		}
		return facts
	}
	waits := []int{60_000, 120_000, 240_000, 1_200_000, 3_600_000, 30_000, 90_000, 9_000_000_000}
	human := with(func(i int, f *fact) { f.value = waits[i] })
	any := with(func(i int, f *fact) { f.value = waits[i] / 10 })
	rate := func(nums ...int) []fact { return with(func(i int, f *fact) { f.num = nums[i] }) }
	bands := with(func(i int, f *fact) {
		f.extra = []string{"auto", "suggest", "auto", "none", "suggest", "auto", "auto", "none"}[i]
		f.num = 0
		if f.extra == "auto" {
			f.num = 1
		}
	})
	e.kpiTable("volume", "", with(func(_ int, f *fact) { f.value = 1 }))
	e.kpiTable("first_reply_human", "", human)
	e.kpiTable("first_reply_any", "", any)
	e.kpiTable("unanswered", "", rate(0, 0, 1, 0, 0, 0, 1, 1))
	e.kpiTable("missed", "", rate(0, 1, 0, 0, 0, 0, 1, 1))
	e.kpiTable("escalation", "", rate(1, 1, 0, 0, 0, 0, 0, 1))
	e.kpiTable("decision_bands", ", band LowCardinality(String)", bands)
}

// panelSQL finds a panel's query in the generated JSON's source.
func panelSQL(t *testing.T, title, refID string) string {
	t.Helper()
	d, err := Service()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, target := range p.Panel.Targets {
			if q := target.(Query); *p.Panel.Title == title && q.RefID == refID {
				return q.RawSQL
			}
		}
	}
	t.Fatalf("no panel %q with a query %s", title, refID)
	return ""
}

func variableSQL(t *testing.T, name string) string {
	t.Helper()
	for _, v := range variables(dimensions()...) {
		model, err := v.Build()
		if err != nil {
			t.Fatal(err)
		}
		if model.Name == name && model.Type == dashboard.VariableTypeQuery {
			return *model.Query.String
		}
	}
	t.Fatalf("no variable %s with a query", name)
	return ""
}

// TestOnEngine runs every query of the board, expanded as the plugin does, and compares the answer
// with values worked out by hand.
func TestOnEngine(t *testing.T) {
	e := startEngine(t)
	e.run("default", "CREATE DATABASE usher")
	e.fixtures()
	check := func(title, refID string, values map[string]macros.Value, want ...string) {
		t.Helper()
		sql := panelSQL(t, title, refID)
		got := e.run("usher", expanded(t, sql, values))
		if got != strings.Join(want, "\n") {
			t.Errorf("%s, %s:\n%s\nwant\n%s", title, refID, got, strings.Join(want, "\n"))
		}
	}
	all, salon := everything(), chosen("tenant", "salon")
	two, none := chosen("tenant", "salon", "bank"), chosen("language", "(none)")
	nobody := chosen("channel", "pigeon")

	const end = "2026-10-20 12:00:01\t"
	check("Conversations opened", "A", all, "2026-10-18 23:00:00\tweek before 2\t1",
		"2026-10-19 09:00:00\tweek before 2\t1", "2026-10-20 10:00:00\tweek before 2\t2",
		"2026-10-20 11:00:00\tweek before 2\t1")
	check("Conversations opened", "A", salon, "2026-10-20 10:00:00\tweek before 1\t2")
	check("Conversations opened", "A", two, "2026-10-19 09:00:00\tweek before 2\t1",
		"2026-10-20 10:00:00\tweek before 2\t2", "2026-10-20 11:00:00\tweek before 2\t1")
	check("Conversations opened", "A", none, "2026-10-19 09:00:00\tweek before 0\t1")
	check("Conversations opened", "A", nobody, "")
	const late, good = "▲ over 3 min · week before 1.5 min\t", "✓ within 3 min · week before 30 s\t"
	check("First reply, half within", "A", all, "2026-10-18 23:00:00\t"+late+"3600000",
		"2026-10-19 09:00:00\t"+late+"1200000", "2026-10-20 10:00:00\t"+late+"120000",
		"2026-10-20 11:00:00\t"+late+"240000", end+late+"240000")
	check("First reply, half within", "A", salon, "2026-10-20 10:00:00\t"+good+"120000",
		end+good+"120000")
	check("First reply, half within", "A", nobody, "")
	check("First reply, 90 % within", "A", salon,
		"2026-10-20 10:00:00\t✓ within 15 min · week before 30 s\t120000",
		end+"✓ within 15 min · week before 30 s\t120000")
	check("Missed", "A", salon, "2026-10-20 10:00:00\t▲ over 5 % · week before 0 %\t0.5",
		end+"▲ over 5 % · week before 0 %\t0.5")
	check("Missed", "A", none, "2026-10-19 09:00:00\t✓ within 5 % · week before –\t0",
		end+"✓ within 5 % · week before –\t0")
	check("First reply over time", "A", all, "2026-10-18 23:00:00\t3600000\t3600000",
		"2026-10-19 09:00:00\t1200000\t1200000", "2026-10-20 10:00:00\t120000\t120000",
		"2026-10-20 11:00:00\t240000\t240000")
	check("First reply over time", "B", salon, "2026-10-20 10:00:00\t12000")
	check("First replies by length", "A", all, "2026-10-18 23:00:00\t0\t0\t1\t0",
		"2026-10-19 09:00:00\t0\t0\t1\t0", "2026-10-20 10:00:00\t2\t0\t0\t0",
		"2026-10-20 11:00:00\t0\t1\t0\t0")
	// Of the edges 10 s … 1 day: 60 s lies in the row that ends at 60, 120 s in the next.
	check("First replies by time and length", "A", salon,
		"2026-10-20 10:00:00\t0\t0\t1\t1\t0\t0\t0\t0\t0\t0")
	check("Conversations opened by channel", "A", all, "2026-10-18 23:00:00\tweb\t1",
		"2026-10-19 09:00:00\tapp\t1", "2026-10-20 10:00:00\twhatsapp\t2",
		"2026-10-20 11:00:00\tweb\t1")
	check("Unanswered, missed and dropped", "A", two, "2026-10-19 09:00:00\t0",
		"2026-10-20 10:00:00\t0", "2026-10-20 11:00:00\t1")
	check("Unanswered, missed and dropped", "B", salon, "2026-10-20 10:00:00\t0.5")
	agent := e.run("usher", "SELECT concat('agent ', substring(lower(hex(sipHash64('a1'))), 1, 5))")
	check("The slowest twenty first replies", "A", two,
		"2026-10-19 09:00:00.000\t1200000\tbank\tapp\t\t\t"+agent+"\tc3\tc3\tprovisional",
		"2026-10-20 11:20:00.000\t240000\tbank\tweb\tcards\ten\t"+agent+"\tc2\tc2\tfinal",
		"2026-10-20 10:10:00.000\t120000\tsalon\twhatsapp\tfront\tru\t"+agent+"\tc1\tc1\tprovisional",
		"2026-10-20 10:05:00.000\t60000\tsalon\twhatsapp\tfront\tlv\t"+agent+"\tc0\tc0\tfinal")

	t.Run("variables", func(t *testing.T) { e.variables(t) })
}

// variables lists the options of every variable, and chooses the worst of them.
func (e engine) variables(t *testing.T) {
	e.t = t
	options := func(name string, values map[string]macros.Value) [][2]string {
		var list [][2]string
		answer := e.run("usher", expanded(t, variableSQL(t, name), values)+" FORMAT TabSeparatedRaw")
		for line := range strings.SplitSeq(answer, "\n") {
			value, text, _ := strings.Cut(line, "\t")
			list = append(list, [2]string{value, text})
		}
		return list
	}
	texts := func(list [][2]string) string {
		var out []string
		for _, option := range list {
			out = append(out, option[1])
		}
		return strings.Join(out, "|")
	}
	all := everything()
	for name, want := range map[string]string{"tenant": "bank|salon|shop",
		"channel": "app|web|whatsapp",
		"queue":   "(none)|cards|front|" + hostileQueue, "language": "(none)|en|lv|pl|ru"} {
		if got := texts(options(name, all)); got != want {
			t.Errorf("options of %s are %s, want %s", name, got, want)
		}
	}
	if got := texts(options("queue", chosen("tenant", "salon"))); got != "front" {
		t.Errorf("queues of one tenant are %s", got)
	}
	queues := options("queue", all)
	value := queues[len(queues)-1][0]
	for _, risky := range []string{"$", "--", "/*"} {
		if strings.Contains(value, risky) {
			t.Errorf("the value %s still holds %s, on which plugin or Grafana may act", value, risky)
		}
	}
	worst := chosen("queue", value)
	opened := panelSQL(t, "Conversations opened", "A")
	if got := e.run("usher", expanded(t, opened, worst)); got !=
		"2026-10-18 23:00:00\tweek before 0\t1" {
		t.Errorf("the queue with the hostile name holds %s conversations", got)
	}
	unescaped := chosen("queue", hostileQueue)
	if _, err := e.try("usher", expanded(t, opened, unescaped)); err == nil {
		t.Error("the hostile name is harmless without escaping: choose a worse one")
	}
}
