package dashboards

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"

	"usher/dashboards/macros"
)

var rewrite = flag.Bool("rewrite", false, "write the generated JSON instead of comparing it")

// board is one board with the file that holds its JSON.
type board struct {
	file  string
	build func() (dashboard.Dashboard, error)
}

func boards() []board {
	return []board{{"usher-service.json", Service}, {"usher-routing.json", Routing},
		{"usher-quality.json", Quality}, {"usher-pipeline.json", Pipeline},
		{"usher-conversation.json", Conversation}}
}

func register() {
	plugins.RegisterDefaultPlugins()
	cog.NewRuntime().RegisterDataqueryVariant(VariantConfig())
}

func marshal(t *testing.T, d dashboard.Dashboard) []byte {
	t.Helper()
	var buffer bytes.Buffer
	encoder := json.NewEncoder(&buffer)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}

// TestGenerated holds the JSON beside the Go to the Go.
func TestGenerated(t *testing.T) {
	for _, b := range boards() {
		d, err := b.build()
		if err != nil {
			t.Fatalf("%s: %v", b.file, err)
		}
		want := marshal(t, d)
		if *rewrite {
			if err := os.WriteFile(b.file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(b.file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what the Go says: run go test ./dashboards -rewrite", b.file)
		}
	}
}

// TestAlertsGenerated holds the file of alert rules to the Go.
func TestAlertsGenerated(t *testing.T) {
	file := filepath.Join("provisioning", "alerting", "usher.json")
	want, err := Alerts()
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the Go says: run go test ./dashboards -rewrite", file)
	}
}

// TestRoundTrip decodes the JSON strictly, every field known, and encodes it again.
func TestRoundTrip(t *testing.T) {
	register()
	for _, b := range boards() {
		raw, err := os.ReadFile(b.file)
		if err != nil {
			t.Fatal(err)
		}
		var strict, lenient dashboard.Dashboard
		if err := strict.UnmarshalJSONStrict(raw); err != nil {
			t.Fatalf("%s: %v", b.file, err)
		}
		if err := json.Unmarshal(raw, &lenient); err != nil {
			t.Fatalf("%s: %v", b.file, err)
		}
		if !bytes.Equal(marshal(t, strict), raw) || !bytes.Equal(marshal(t, lenient), raw) {
			t.Errorf("%s changes when it is read and written", b.file)
		}
		if !strict.Equals(lenient) {
			t.Errorf("%s: strict and lenient reading differ", b.file)
		}
		built, err := b.build()
		if err != nil {
			t.Fatal(err)
		}
		for i := range built.Panels {
			a, c := built.Panels[i].Panel.Targets, strict.Panels[i].Panel.Targets
			for k := range a {
				if !a[k].Equals(c[k]) {
					t.Errorf("%s: query %d of panel %d differs after a round trip", b.file, k, i)
				}
			}
		}
	}
}

func TestStrictDecoderIsStrict(t *testing.T) {
	config := VariantConfig()
	raw := []byte(`{"refId":"A","rawSql":"SELECT 1","datasource":{},"editorType":"sql",` +
		`"format":1,"x":1}`)
	if _, err := config.StrictDataqueryUnmarshaler(raw); err == nil {
		t.Error("an unknown field passed the strict decoder")
	}
	if _, err := config.DataqueryUnmarshaler(raw); err != nil {
		t.Errorf("the lenient decoder refuses an unknown field: %v", err)
	}
	if _, err := (queryBuilder{Query{RefID: "A"}}).Build(); err == nil {
		t.Error("a query without SQL was built")
	}
}

// TestPanels checks what a reader of any panel needs.
func TestPanels(t *testing.T) {
	for _, b := range boards() {
		d, err := b.build()
		if err != nil {
			t.Fatal(err)
		}
		if d.Uid == nil || *d.Uid != strings.TrimSuffix(b.file, ".json") {
			t.Errorf("%s: the uid must be the file's name", b.file)
		}
		ids, titles := map[uint32]bool{}, map[string]bool{}
		for _, p := range d.Panels {
			checkPanel(t, p.Panel)
			if ids[*p.Panel.Id] || titles[*p.Panel.Title] {
				t.Errorf("%q: id or title occurs twice", *p.Panel.Title)
			}
			ids[*p.Panel.Id], titles[*p.Panel.Title] = true, true
		}
		checkGrid(t, d)
		checkLinks(t, d)
		checkVariables(t, d)
	}
}

var named = regexp.MustCompile(`\*\*(\w+), version [1-9]\d*\.\*\* \S.+ Needs \S.+\.`)

// formats are what each kind of panel draws.
var formats = map[string][]Format{
	"stat": {FormatTimeSeries}, "timeseries": {FormatTimeSeries}, "heatmap": {FormatTimeSeries},
	"state-timeline": {FormatTimeSeries, FormatTable}, "table": {FormatTable}, "barchart": {FormatTable},
}

func checkPanel(t *testing.T, p *dashboard.Panel) {
	t.Helper()
	if p.Title == nil || *p.Title == "" || p.Id == nil {
		t.Fatalf("a panel of type %s without title or id", p.Type)
	}
	fail := func(what string) { t.Helper(); t.Errorf("panel %q %s", *p.Title, what) }
	if p.Description == nil || !named.MatchString(*p.Description) ||
		strings.Contains(*p.Description, "version 0") {
		fail("does not name definition, version and what it needs")
	}
	config := p.FieldConfig
	if config == nil || config.Defaults.Unit == nil || *config.Defaults.Unit == "" {
		fail("has no unit")
	}
	if config.Defaults.Thresholds == nil || len(config.Defaults.Thresholds.Steps) == 0 {
		fail("has no thresholds")
	}
	if no := config.Defaults.NoValue; no == nil || !strings.HasPrefix(*no, "needs ") &&
		*no != "none in this range" {
		fail("does not say what it needs when there is no data")
	}
	if p.Datasource == nil || *p.Datasource.Uid != "${datasource}" {
		fail("does not use the data source variable")
	}
	if len(p.Targets) == 0 {
		fail("has no query")
	}
	refs := map[string]bool{}
	for _, target := range p.Targets {
		q := target.(Query)
		if refs[q.RefID] {
			fail("has two queries with one refId")
		}
		refs[q.RefID] = true
		if *q.Datasource.Uid != "${datasource}" || *q.Datasource.Type != PluginID {
			fail("has a query past the data source variable")
		}
		if !slices.Contains(formats[p.Type], q.Format) {
			fail("has a query of the wrong format")
		}
		for _, view := range reads.FindAllStringSubmatch(q.RawSQL, -1) {
			name := strings.TrimSuffix(view[1], "_daily")
			if strings.HasPrefix(name, "kpi_") && !strings.Contains(*p.Description, "**"+name+",") &&
				name != "kpi_corrections" {
				fail("shows " + name + " and does not define it")
			}
		}
		checkSQL(t, q.RawSQL)
	}
	sql := p.Targets[0].(Query).RawSQL
	if thresholdColours(p) > 1 && p.Type == "stat" && !strings.Contains(sql, "✓") {
		fail("says by colour alone whether the target is met")
	}
}

func thresholdColours(p *dashboard.Panel) int {
	return len(p.FieldConfig.Defaults.Thresholds.Steps)
}

var (
	reads = regexp.MustCompile(`(?i)\b(?:FROM|JOIN)\s+([\w.]+)`)
	star  = regexp.MustCompile(`(?i)SELECT\s+\*`)
	bound = regexp.MustCompile(`\$__timeFilter\((counted_at|time|at|received_at|opened_at|waiting_since)\b|` +
		`<= \$__toTime|day <= toDate\(\$__toTime\)`)
)

// readable are the tables that boards read beside the KPI views.
var readable = []string{"conversations_latest", "turns_latest", "escalations_latest",
	"sla_events_latest", "voids_latest", "decisions", "events", "dead_letters", "delivery_audit",
	"ops_journal", "process_metrics", "system.parts"}

// checkSQL holds a query to what boards may read.
func checkSQL(t *testing.T, sql string) {
	t.Helper()
	found := reads.FindAllStringSubmatch(sql, -1)
	if len(found) == 0 {
		t.Errorf("a query without FROM:\n%s", sql)
	}
	for _, view := range found {
		if !strings.HasPrefix(view[1], "kpi_") && !slices.Contains(readable, view[1]) {
			t.Errorf("a query reads %s, which no board reads:\n%s", view[1], sql)
		}
	}
	// Every place where rows are read has its own bound, but voids, which take rows away.
	read := 0
	for _, view := range found {
		if view[1] != "voids_latest" {
			read++
		}
	}
	if len(bound.FindAllString(sql, -1)) < read {
		t.Errorf("a query does not follow the time picker:\n%s", sql)
	}
	if star.MatchString(sql) || strings.Contains(sql, "[[") || strings.Contains(sql, ";") {
		t.Errorf("a query with *, [[ or ;:\n%s", sql)
	}
	if len(macros.Names(sql)) > 0 && strings.Count(sql, "IN ($") < len(macros.Names(sql)) {
		t.Errorf("a variable stands outside IN (…), where lists do not fit:\n%s", sql)
	}
}

// checkGrid finds panels that overlap or leave the 24 columns, and holes that a row leaves.
func checkGrid(t *testing.T, d dashboard.Dashboard) {
	t.Helper()
	taken := map[[2]uint32]string{}
	bottom, area := uint32(0), uint32(0)
	for _, p := range d.Panels {
		at := *p.Panel.GridPos
		if at.W == 0 || at.H < 4 || at.X+at.W > 24 {
			t.Errorf("panel %q: x %d, width %d, height %d", *p.Panel.Title, at.X, at.W, at.H)
		}
		bottom, area = max(bottom, at.Y+at.H), area+at.W*at.H
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other, ok := taken[[2]uint32{x, y}]; ok {
					t.Fatalf("panels %q and %q overlap", *p.Panel.Title, other)
				}
				taken[[2]uint32{x, y}] = *p.Panel.Title
			}
		}
	}
	if area != bottom*24 {
		t.Errorf("the grid of %d rows has holes: %d of %d cells are used", bottom, area, bottom*24)
	}
}

// checkLinks finds links without a type and links to boards that do not exist.
func checkLinks(t *testing.T, d dashboard.Dashboard) {
	t.Helper()
	links := slices.Clone(d.Links)
	for _, p := range d.Panels {
		links = append(links, p.Panel.Links...)
		links = append(links, p.Panel.FieldConfig.Defaults.Links...)
	}
	for _, link := range links {
		if link.Type == "" {
			t.Errorf("link %q has no type", link.Title)
		}
	}
	raw := string(marshal(t, d))
	if strings.Contains(raw, `"type": ""`) {
		t.Error("something has an empty type")
	}
	for _, match := range regexp.MustCompile(`/d/([\w-]+)`).FindAllStringSubmatch(raw, -1) {
		if !slices.ContainsFunc(boards(), func(b board) bool { return b.file == match[1]+".json" }) {
			t.Errorf("a link leads to the board %s, which does not exist", match[1])
		}
	}
}

// checkVariables: every variable is defined once and used, every use has a definition.
func checkVariables(t *testing.T, d dashboard.Dashboard) {
	t.Helper()
	defined := map[string]bool{}
	used := map[string]bool{}
	for _, v := range d.Templating.List {
		if defined[v.Name] {
			t.Errorf("variable %s is defined twice", v.Name)
		}
		defined[v.Name] = true
		if v.Label == nil || v.Description == nil {
			t.Errorf("variable %s has no label or description", v.Name)
		}
		if v.AllowCustomValue == nil || *v.AllowCustomValue {
			t.Errorf("variable %s takes free text, which the plugin does not escape", v.Name)
		}
		if v.Type != dashboard.VariableTypeQuery {
			continue
		}
		checkSQL(t, *v.Query.String)
		if !*v.Multi || *v.Datasource.Uid != "${datasource}" {
			t.Errorf("variable %s is no list or past the data source variable", v.Name)
		}
		for _, name := range macros.Names(*v.Query.String) {
			used[name] = true
		}
	}
	for _, p := range d.Panels {
		used[strings.Trim(*p.Panel.Datasource.Uid, "${}")] = true
		names := map[string]bool{}
		for _, target := range p.Panel.Targets {
			for _, name := range macros.Names(target.(Query).RawSQL) {
				used[name], names[name] = true, true
			}
		}
		for name := range defined {
			if name != "datasource" && !names[name] {
				t.Errorf("panel %q does not follow the variable %s", *p.Panel.Title, name)
			}
		}
	}
	for name := range used {
		if !defined[name] {
			t.Errorf("variable %s is used and not defined", name)
		}
	}
	for name := range defined {
		if !used[name] {
			t.Errorf("variable %s is defined and not used", name)
		}
	}
}

// TestThresholdsAreTheTargets: numbers colour where their verdict changes, and say the same in words.
func TestThresholdsAreTheTargets(t *testing.T) {
	verdict := regexp.MustCompile(
		`(now|value) ([<>]=) ([\d.e+]+), '✓ (?:within|at least) ([\d.]+) (min|%|s)'`)
	seen := 0
	for _, b := range boards() {
		d, err := b.build()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range d.Panels {
			if p.Panel.Type != "stat" || thresholdColours(p.Panel) == 1 || *p.Panel.Title == "Missing or doubled" {
				continue
			}
			match := verdict.FindStringSubmatch(p.Panel.Targets[0].(Query).RawSQL)
			if match == nil {
				t.Fatalf("panel %q has colours and no verdict", *p.Panel.Title)
			}
			var target, words float64
			if json.Unmarshal([]byte(match[3]), &target) != nil ||
				json.Unmarshal([]byte(match[4]), &words) != nil {
				t.Fatalf("panel %q: cannot read the verdict %q", *p.Panel.Title, match[0])
			}
			scale := map[string]float64{"min": 60_000, "%": 0.01, "s": 1000}[match[5]]
			if *p.Panel.FieldConfig.Defaults.Unit == unitSeconds {
				scale /= 1000
			}
			if math.Abs(words*scale-target) > 1e-9 {
				t.Errorf("panel %q says %q and compares with %v", *p.Panel.Title, match[0], target)
			}
			steps := p.Panel.FieldConfig.Defaults.Thresholds.Steps
			at, colour := steps[1], "green"
			if match[2] == ">=" {
				at = steps[2]
			} else {
				colour = steps[0].Color
			}
			if *at.Value != target || colour != "green" {
				t.Errorf("panel %q colours from %v and judges from %v", *p.Panel.Title, *at.Value, target)
			}
			seen++
		}
	}
	if seen < 10 {
		t.Errorf("only %d panels have a target", seen)
	}
}

func TestWrite(t *testing.T) {
	if *rewrite {
		t.Skip("what is embedded is older than what was just written")
	}
	dir := filepath.Join(t.TempDir(), "new")
	for range 2 { // the second time over the first
		if err := Write(dir); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"usher-service.json", "usher-conversation.json",
		"provisioning/datasources/usher.yaml", "provisioning/dashboards/usher.yaml",
		"provisioning/alerting/usher.json"} {
		got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := os.ReadFile(filepath.FromSlash(name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s was not written as it is: %v", name, err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Write(file); err == nil {
		t.Error("a file was taken for a folder")
	}
}
