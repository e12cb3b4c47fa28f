package acceptance

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
)

// Limits of the disorder: well inside the window of 16 events.
const (
	displacedMost = 8
	repeatedMost  = 4
	repeatedShare = 0.05
)

// hidden are the columns that arrival may change.
var hidden = map[string]bool{
	"cycle_id": true, "revision": true, "received_at": true, "label": true, "variant": true,
	"queue": true, "prev_cycle_id": true, "replaced_by": true, "since_offset": true,
}

// TestArrivalDoesNotMatter plays the Thunderbird set in order and again with every event displaced,
// some repeated, split over three runs: the same facts and KPI rows.
func TestArrivalDoesNotMatter(t *testing.T) {
	needEngine(t)
	input := importThunderbird(t)
	dir := t.TempDir()
	inOrder, shuffled := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	usher(t, "demo", "--data", inOrder, "--input", input, "--exit", "--json")
	lines := disorder(readLines(t, input), rand.New(rand.NewPCG(5, 7)))
	for i := range 3 {
		part := filepath.Join(dir, fmt.Sprintf("part%d.jsonl", i))
		writeLines(t, part, lines[i*len(lines)/3:(i+1)*len(lines)/3])
		usher(t, "demo", "--data", shuffled, "--input", part, "--exit", "--json")
	}
	sameFacts(t, openStore(t, inOrder), openStore(t, shuffled), hidden)
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	in := bufio.NewScanner(f)
	in.Buffer(nil, 4<<20)
	for in.Scan() {
		out = append(out, in.Text())
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// disorder displaces every line by at most displacedMost lines of its conversation and repeats some.
func disorder(lines []string, r *rand.Rand) []string {
	type placed struct {
		line string
		at   float64 // place inside its conversation
	}
	byID := make(map[string][]placed)
	var order []string // of the conversations' slots in the file
	for _, line := range lines {
		var e struct {
			ID string `json:"conversation_id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			panic("BUG: the input is no JSON: " + err.Error())
		}
		n := float64(len(byID[e.ID]))
		// A shift of less than half the limit either way displaces by less than the limit.
		at := n + (r.Float64()-0.5)*displacedMost
		byID[e.ID] = append(byID[e.ID], placed{line, at})
		order = append(order, e.ID)
		if r.Float64() < repeatedShare {
			byID[e.ID] = append(byID[e.ID], placed{line, at + 0.5 + r.Float64()*(repeatedMost-1)})
			order = append(order, e.ID)
		}
	}
	for _, c := range byID {
		sort.SliceStable(c, func(i, j int) bool { return c[i].at < c[j].at })
	}
	out := make([]string, 0, len(order))
	for _, id := range order {
		out = append(out, byID[id][0].line)
		byID[id] = byID[id][1:]
	}
	return out
}

// sameFacts compares what arrival must not change, row by row, but for hidden columns and views.
func sameFacts(t *testing.T, a, b *store, hidden map[string]bool) {
	t.Helper()
	tables := []string{"turns_latest", "turns_human_latest", "conversations_latest"}
	for _, row := range a.query("SELECT name FROM system.tables WHERE database = 'usher' " +
		"AND name LIKE 'kpi\\_%' AND engine = 'View' ORDER BY name") {
		name := row[0].(string)
		if !hidden[name] && !strings.HasPrefix(name, "kpi_decision_bands") && name != "kpi_duplicates" &&
			!strings.HasPrefix(name, "kpi_corrections") {
			tables = append(tables, name)
		}
	}
	for _, table := range tables {
		columns := visible(a, table, hidden)
		sql := fmt.Sprintf("SELECT toString(tuple(%s)) AS r FROM %s ORDER BY r", columns, table)
		compare(t, table, a.query(sql), b.query(sql))
	}
}

func visible(s *store, table string, hidden map[string]bool) string {
	s.t.Helper()
	var names []string
	for _, row := range s.query("SELECT name FROM system.columns WHERE database = 'usher' AND table = '" +
		table + "' ORDER BY position") {
		name := row[0].(string)
		if !hidden[name] && !strings.HasPrefix(name, "_") {
			names = append(names, "`"+name+"`")
		}
	}
	if len(names) == 0 {
		s.t.Fatalf("%s has no columns", table)
	}
	return strings.Join(names, ", ")
}

func compare(t *testing.T, table string, a, b [][]any) {
	t.Helper()
	if len(a) == 0 && table == "turns_latest" {
		t.Errorf("%s is empty: nothing was compared", table)
	}
	only := make(map[any]int)
	for _, row := range a {
		only[row[0]]++
	}
	for _, row := range b {
		only[row[0]]--
	}
	shown, differ := 0, 0
	for row, n := range only {
		if n == 0 {
			continue
		}
		differ++
		if shown++; shown <= 6 {
			t.Logf("%s: %+d %v", table, n, row)
		}
	}
	if differ > 0 {
		t.Errorf("%s: %d of %d rows differ", table, differ, len(a))
	}
}
