package acceptance

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// phrase is what a customer wrote: it may be nowhere but in the topic of events.
const phrase = "tangerine harpsichord"

// telephone is a conversation's id that must leave as a pseudonym.
const telephone = "+37120000000"

// liveEvents are three conversations of the last hours: one answered after a minute and closed, two
// that wait.
func liveEvents(t *testing.T) string {
	t.Helper()
	now := time.Now().UTC()
	var lines []string
	add := func(ago time.Duration, tenant, conversation, rest string) {
		lines = append(lines, fmt.Sprintf(`{"v":1,"id":"e%d","time":%d,"tenant":%q,"conversation_id":%q,`+
			`"channel":"web",%s}`, len(lines), now.Add(-ago).UnixMilli(), tenant, conversation, rest))
	}
	message := func(kind string) string {
		return fmt.Sprintf(`"type":"message","actor":{"kind":%q,"id":"a1"},"message":{"text":"How much is a `+
			`haircut, and is there a %s?"}`, kind, phrase)
	}
	add(125*time.Minute, "salon", "c-1", message("customer"))
	add(124*time.Minute, "salon", "c-1", message("agent"))
	add(123*time.Minute, "salon", "c-1", `"type":"close","close":{"resolution":"confirmed"}`)
	add(40*time.Minute, "bank", "c-2", message("customer"))
	add(30*time.Minute, "bank", telephone, message("customer"))
	name := filepath.Join(t.TempDir(), "events.jsonl")
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// liveDemo plays the events and stays open; it returns the page's address.
func liveDemo(t *testing.T, dir string) (address string, stop func()) {
	t.Helper()
	cmd := command(t, "demo", "--data", dir, "--input", liveEvents(t))
	cmd.Env = append(cmd.Env, "USHER_ADMIN_ADDR=127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	stop = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, found, ok := strings.Cut(lines.Text(), "The boards are at "); ok {
			address = found
		}
		if strings.HasPrefix(lines.Text(), "Still running") {
			return address, stop
		}
	}
	t.Fatal("the demo ended before it stayed open")
	return "", nil
}

// TestLookAtDemo looks at a running demo in every way that there is: status, tail, and the page in a
// real browser.
func TestLookAtDemo(t *testing.T) {
	needEngine(t)
	dir, err := os.MkdirTemp("", "usher-look-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the demo's children may still be closing their files
	address, stop := liveDemo(t, dir)
	t.Run("status", func(t *testing.T) { statusOf(t, dir) })
	t.Run("tail", func(t *testing.T) { tailOf(t, dir) })
	t.Run("page", func(t *testing.T) { pageAt(t, address) })
	t.Run("status without a demo", func(t *testing.T) {
		stop()
		out, err := command(t, "status", "--data", dir).CombinedOutput()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 3 || !strings.Contains(string(out), "no demo runs") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func statusOf(t *testing.T, dir string) {
	s := object(t, usher(t, "status", "--data", dir, "--json"))
	want := map[string]any{"lag_events": 0.0, "lag_blocks": 0.0, "waiting": 2.0, "missing": 0.0,
		"duplicated": 0.0}
	for name, value := range want {
		if s[name] != value {
			t.Errorf("%s is %v, want %v", name, s[name], value)
		}
	}
	oldest, _ := s["oldest_ms"].(float64)
	if d := time.Duration(oldest) * time.Millisecond; d < 40*time.Minute || d > 80*time.Minute {
		t.Errorf("the oldest wait is %v, it began 40 minutes before the demo", d)
	}
	commit, err := time.Parse(time.RFC3339, fmt.Sprint(s["last_commit"]))
	if err != nil || time.Since(commit) > time.Hour {
		t.Errorf("the last commit is %v, %v", s["last_commit"], err)
	}
	service, _ := s["service"].(map[string]any)
	model, _ := s["model"].(map[string]any)
	if service["state"] != "ready" || model["name"] != "intent-demo" || model["mode"] != "live" {
		t.Errorf("service %v, model %v", service, model)
	}
	text := string(usher(t, "status", "--data", dir))
	for _, part := range []string{"service", "ready", "0 events to route", "2 customers", "missing 0"} {
		if !strings.Contains(text, part) {
			t.Errorf("the screen lacks %q:\n%s", part, text)
		}
	}
}

// tailOf: what tail says is what the store holds, without words and telephone numbers.
func tailOf(t *testing.T, dir string) {
	s := openStore(t, dir)
	counts := map[string]float64{}
	total := 0.0
	for kind, table := range map[string]string{"event": "events", "turn": "turns", "decision": "decisions"} {
		counts[kind] = s.number("SELECT count() FROM " + table)
		total += counts[kind]
	}
	since := []string{"tail", "--data", dir, "--since", "1h"}
	out := usher(t, append(since, "--json", "--limit", strconv.Itoa(int(total)))...)
	for line := range strings.Lines(string(out)) {
		var l map[string]string
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		counts[l["kind"]]--
	}
	for kind, left := range counts {
		if left != 0 {
			t.Errorf("%s: %v lines too few", kind, left)
		}
	}
	for _, secret := range []string{phrase, "haircut", telephone} {
		if strings.Contains(string(out), secret) {
			t.Errorf("tail shows %q", secret)
		}
	}
	one := string(usher(t, append(since, "--tenant", "bank", "--conversation", telephone, "--limit", "2")...))
	if strings.Count(one, "\n") != 2 || strings.Contains(one, "salon") || !strings.Contains(one, "decision") {
		t.Errorf("the conversation under its pseudonym:\n%s", one)
	}
	turn := string(usher(t, append(since, "--tenant", "salon", "--limit", "5")...))
	if !strings.Contains(turn, "turn 1 · answered by agent after 1m0s") {
		t.Errorf("the wait of a minute is not there:\n%s", turn)
	}
}

// opened is the number of the first panel.
const opened = `document.querySelector('#panel-1 .big').textContent`

func pageAt(t *testing.T, address string) {
	b := openBrowser(t)
	axe := axe(t)
	b.open(address, 1440, 900, "light")
	if got := b.eval(opened); got != "3" {
		t.Errorf("the page shows %s conversations, there are 3", got)
	}
	if text := b.eval(`document.body.innerText`); strings.Contains(text, phrase) {
		t.Error("the page shows what a customer wrote")
	}
	b.picture("wide-light")
	t.Run("range", func(t *testing.T) { b.t = t; b.choosesRange() })
	t.Run("variable", func(t *testing.T) { b.t = t; b.choosesTenant(address) })
	t.Run("keyboard", func(t *testing.T) { b.t = t; b.keyboard(address) })
	t.Run("table", func(t *testing.T) { b.t = t; b.table() })
	t.Run("conversation", func(t *testing.T) { b.t = t; b.drillsDown(address) })
	for _, x := range []struct {
		width  int64
		scheme string
	}{{1440, "light"}, {1440, "dark"}, {390, "light"}, {390, "dark"}} {
		t.Run(fmt.Sprintf("%s %d", x.scheme, x.width), func(t *testing.T) {
			b.t = t
			b.open(address, x.width, 900, x.scheme)
			b.accessible(axe)
			if over := b.eval(`document.documentElement.scrollWidth - innerWidth`); over != "0" {
				t.Errorf("the page is %s px wider than its window", over)
			}
			b.picture(fmt.Sprintf("%s-%d", x.scheme, x.width))
		})
	}
	b.t = t
	b.quiet()
}

func (b *browser) choosesRange() {
	b.do("choosing a range", chromedp.Click(`#controls details:first-child summary`),
		chromedp.Click(`//button[text()="Last hour"]`, chromedp.BySearch))
	b.until(`location.search.includes('from=now-1h') && ` + opened + ` === '2'`)
	b.settled()
	b.do("going back", chromedp.NavigateBack())
	b.until(opened + ` === '3'`)
	b.settled()
}

func (b *browser) choosesTenant(address string) {
	b.do("choosing a tenant", chromedp.Click(`//summary[span[text()="Tenant"]]`, chromedp.BySearch),
		chromedp.WaitVisible(`input[name="tenant"][value="bank"]`),
		chromedp.Click(`input[name="tenant"][value="bank"]`),
		chromedp.Click(`//details[@open]//button[text()="Apply"]`, chromedp.BySearch))
	b.until(`location.search.includes('var-tenant=bank') && ` + opened + ` === '2'`)
	b.open(address+"d/usher-service?var-tenant=o%27nobody", 1440, 900, "light")
	if text := b.eval(`document.querySelector('#panel-1').innerText`); strings.Contains(text, "3") {
		b.t.Errorf("a tenant that nobody has: %s", text)
	}
}

// keyboard opens and closes a picker without a mouse, and finds the way past the controls.
func (b *browser) keyboard(address string) {
	b.open(address, 1440, 900, "light")
	b.do("the first Tab", chromedp.KeyEvent(kb.Tab))
	if text := b.eval(`document.activeElement.textContent`); text != "Skip to the panels" {
		b.t.Errorf("the first stop is %q", text)
	}
	b.do("Enter", chromedp.KeyEvent(kb.Enter))
	b.until(`document.activeElement.id === 'panels'`)
	b.eval(`document.querySelector('#controls summary').focus()`)
	b.do("opening", chromedp.KeyEvent(kb.Enter))
	b.until(`document.querySelector('#controls details').open`)
	b.do("closing", chromedp.KeyEvent(kb.Escape))
	b.until(`!document.querySelector('#controls details').open &&
		document.activeElement === document.querySelector('#controls summary')`)
}

// table shows the other form of a chart.
func (b *browser) table() {
	chart := `document.querySelector('.panel.timeseries')`
	b.eval(chart + `.querySelector('button[aria-pressed]').click()`)
	b.until(chart + `.querySelector('caption') !== null && ` + chart + `.querySelectorAll('tbody tr').length > 0`)
	b.eval(chart + `.querySelector('button[aria-pressed]').click()`)
	b.until(chart + `.querySelector('canvas') !== null`)
}

// drillsDown follows a row to its conversation and asks why a decision fell as it did.
func (b *browser) drillsDown(address string) {
	if b.eval(`document.querySelectorAll('#boards a[href*="usher-conversation"]').length`) != "1" {
		b.t.Skip("there is no board of one conversation yet")
	}
	b.open(address, 1440, 900, "light")
	b.do("following a row", chromedp.Click(`//td/a[text()="c-1"]`, chromedp.BySearch))
	b.until(`location.pathname === '/d/usher-conversation' && location.search.includes('c-1')`)
	b.settled()
	b.until(`['message', 'close', 'agent'].every((w) => document.querySelector('main').innerText.includes(w))`)
	b.picture("conversation")
	b.do("asking why", chromedp.Click(`//button[text()="Explain"]`, chromedp.BySearch))
	b.until(`document.querySelector('#explanation[open] table') !== null`)
	why := b.eval(`document.querySelector('#explanation').innerText`)
	for _, want := range []string{"Spoke for it", "Spoke against it", "intent-demo"} {
		if !strings.Contains(why, want) {
			b.t.Errorf("the explanation lacks %q:\n%s", want, why)
		}
	}
	b.picture("explanation")
	b.do("closing", chromedp.KeyEvent(kb.Escape))
	b.until(`!document.querySelector('#explanation').open`)
}

// accessible asks axe-core, and takes no serious fault.
func (b *browser) accessible(axe string) {
	b.do("loading axe-core", chromedp.Evaluate(axe, nil))
	found := b.eval(`axe.run(document, {resultTypes: ['violations']}).then((r) => r.violations
		.filter((v) => v.impact === 'serious' || v.impact === 'critical')
		.map((v) => v.id + ': ' + v.nodes.map((n) => n.target + ' ' + n.failureSummary).join(' | ')).join('\n'))`)
	if found != "" {
		b.t.Errorf("axe-core finds:\n%s", found)
	}
}
