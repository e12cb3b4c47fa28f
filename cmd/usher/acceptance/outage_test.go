package acceptance

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Load and length of the outage under load; USHER_TEST_OUTAGE sets another length (`make outage`).
const (
	outageRate = 150 // events a second
	outageLong = 6 * time.Second
)

// bufferedMax is what the sink may hold of two partitions: the buffer of each, and a fetch.
const bufferedMax = 2 * (64<<20 + 1<<20)

// TestOutages takes ClickHouse and Kafka away from a running router and sink, and from starting ones.
// Each says what it waits for and goes on by itself; nothing is lost or doubled.
func TestOutages(t *testing.T) {
	long := outageLong
	if text := os.Getenv("USHER_TEST_OUTAGE"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	p := newPlant(t, filepath.Join(dir, "engine"), filepath.Join(dir, "broker"))
	lines := generated(t, 200+int(long.Seconds())*outageRate/10)
	produced := 0
	produce := func(n, rate int) {
		t.Helper()
		if produced+n > len(lines) {
			t.Fatalf("%d lines are too few", len(lines))
		}
		p.produce(lines[produced:produced+n], rate)
		produced += n
	}
	produce(300, 0)

	// Neither is there when they start.
	p.kill("broker")
	p.kill("engine")
	p.run("route")
	p.run("sink")
	p.says("route", "start: route has not found its topics yet")
	p.says("sink", "start: sink has not found its store and topics yet")
	p.says("route", "kafka: no broker has answered for")
	p.startBroker()
	p.says("route", "") // it needs no ClickHouse
	p.routed()
	if why := p.unready("sink"); !strings.Contains(why, "clickhouse: does not answer") {
		t.Errorf("the sink says %q without its store", why)
	}
	p.startEngine()
	p.says("sink", "")
	p.balanced(produced)

	// ClickHouse goes under load.
	p.kill("engine")
	began := time.Now()
	p.says("sink", "clickhouse: does not answer")
	produce(int(long.Seconds())*outageRate, outageRate)
	p.routed()
	if why := p.unready("route"); why != "" {
		t.Errorf("the router says %q: it does not need ClickHouse", why)
	}
	stored, waiting := p.committed("usher.rows.v1", "usher.sink")
	held := p.metric("sink", "usher_sink_buffered_bytes")
	t.Logf("ClickHouse away for %s: all events routed, %d records of rows wait in Kafka, %.1f MB of them held",
		time.Since(began).Round(time.Second), waiting-stored, held/1e6)
	if held > bufferedMax || waiting-stored < 10 {
		t.Errorf("%v bytes are held, at most %d may be; %d records wait", held, bufferedMax, waiting-stored)
	}
	began = time.Now()
	p.startEngine()
	p.balanced(produced)
	p.says("sink", "")
	t.Logf("caught up and audited %s after ClickHouse was back", time.Since(began).Round(time.Second))

	// Kafka goes, with records still to route.
	produce(200, 0)
	p.kill("broker")
	p.says("route", "kafka: no broker has answered for")
	p.says("sink", "kafka: no broker has answered for")
	p.startBroker()
	p.says("route", "")
	p.says("sink", "")
	produce(200, 0)
	p.balanced(produced)
	for _, stage := range []string{"route", "sink"} {
		t.Logf("%s ended in order within %s", stage, p.stop(stage).Round(10*time.Millisecond))
	}
}
