package acceptance

import (
	"path/filepath"
	"testing"
	"time"
)

// TestLifecycle: under load a second router joins, takes its share and leaves; router and sink, as
// processes apart, end in order and come back. Nothing is lost or doubled. How long each took is in
// the output (`make lifecycle`), and judged by whoever reads it: no test is about time.
func TestLifecycle(t *testing.T) {
	dir := t.TempDir()
	p := newPlant(t, filepath.Join(dir, "engine"), filepath.Join(dir, "broker"))
	lines := generated(t, 500)[:4000]
	p.run("route")
	p.run("sink")
	p.says("route", "")
	p.says("sink", "")
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		p.produce(lines, 100)
	}()
	took := func(what string, since time.Time) {
		t.Logf("%-52s %6.2f s", what, time.Since(since).Seconds())
	}

	p.admin["second"] = freeAddress(t)
	began := time.Now()
	p.start("second", []string{"USHER_ADMIN_ADDR=" + p.admin["second"], "USHER_INSTANCE=second"},
		"run", "--only", "route", "--config", p.config)
	t.Cleanup(func() { p.kill("second") })
	p.says("second", "")
	p.until("event of the second router", func() bool { return p.metric("second", "usher_events_total") > 0 })
	took("second router: start to its first event", began)
	t.Logf("%-52s %6.2f s", "second router: end in order", p.stop("second").Seconds())

	for _, stage := range []struct{ name, sign, what string }{
		{"route", "usher_decisions_total", "decision"}, {"sink", "usher_sink_rows_total", "stored row"},
	} {
		t.Logf("%-52s %6.2f s", stage.name+": end in order", p.stop(stage.name).Seconds())
		began = time.Now()
		p.run(stage.name)
		p.until(stage.what+" after a restart", func() bool {
			return p.unready(stage.name) != "does not answer" && p.metric(stage.name, stage.sign) > 0
		})
		took(stage.name+": start to its first new "+stage.what, began)
	}
	<-loaded
	p.balanced(len(lines))
	for _, name := range []string{"route", "sink"} {
		p.stop(name)
	}
}
