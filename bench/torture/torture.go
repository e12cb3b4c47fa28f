package torture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Config says how hard, and with what.
type Config struct {
	Kills       int           // how many processes are killed; as many disturbances come between them
	Seed        uint64        // of the choice of faults and of the traffic
	Rate        int           // events a second; 150 when zero
	Soak        time.Duration // when not zero: a kill every two minutes for so long, instead of Kills
	Times       bool          // whether a promise about time that was not kept fails the run
	Dir         string        // an empty directory for data, configurations and logs
	Binary      string        // usher
	KafkaScript string        // kafka.sh
	Oracle      string        // the directory bench/oracle
	Out         io.Writer
}

const (
	rateDefault = 150
	warmUp      = 5 * time.Second // of traffic before the first fault
	drainAtMost = 600 * time.Second
	calmAtMost  = 900 * time.Second
	auditTries  = 5
)

// Report is the outcome.
type Report struct {
	Config      Config
	Took        time.Duration
	Sent        int64
	Tallies     []tally
	LongestStop time.Duration
	Restart     time.Duration // to the first new decision
	Promises    []string      // that were not kept in the scenarios
	Slow        []string      // those about time
	Faults      []string      // processes that ended though nobody asked
	Stuck       string
	Audit       error
	Soak        *Soak // of a soak
	Verdict     *Verdict
}

// Failed reports whether anything was lost, doubled, stuck, different or ended by itself.
func (r *Report) Failed() bool {
	return r.Verdict == nil || !r.Verdict.Holds() || r.Stuck != "" || r.Audit != nil ||
		len(r.Faults)+len(r.Promises) > 0 || r.Config.Times && len(r.Slow) > 0 || r.Soak != nil && len(r.Soak.Findings) > 0
}

// Run tortures usher, and returns what became of it. The error is about the test bed.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Rate == 0 {
		cfg.Rate = rateDefault
	}
	began := time.Now()
	report := &Report{Config: cfg}
	b, err := newBed(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer b.close()
	if err := b.torment(ctx, report); err != nil {
		return nil, err
	}
	fmt.Fprintln(cfg.Out, "the calm run begins: the same log again, undisturbed")
	if report.Verdict, err = b.oracle(ctx); err != nil {
		return nil, err
	}
	report.Took = time.Since(began)
	return report, nil
}

// torment lets traffic flow, does the kills, and lets everything be finished.
func (b *bed) torment(ctx context.Context, report *Report) error {
	log, err := os.Create(filepath.Join(b.cfg.Dir, "producer.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	t := &traffic{brokers: b.broker.addr, seed: b.cfg.Seed, rate: b.cfg.Rate, log: log,
		returning: b.cfg.Soak > 0}
	w := &watcher{adm: b.adm}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go w.run(watching)
	flowing, stopTraffic := context.WithCancel(ctx)
	defer stopTraffic()
	produced := make(chan error, 1)
	go func() { produced <- t.run(flowing) }()
	for _, name := range []string{"route-a", "sink-a"} {
		if err := b.members[name].start(); err != nil {
			return err
		}
	}
	time.Sleep(warmUp)
	w.note("the start", false)
	if !w.settled(ctx, stuckAfter) {
		return fmt.Errorf("usher does not begin to store within %v: see the logs in %s", stuckAfter, b.cfg.Dir)
	}
	hurtErr := b.hurtBy(ctx, w, report)
	stopTraffic()
	if err := errors.Join(<-produced, b.heal()); err != nil {
		return err
	}
	if hurtErr != nil && !strings.HasPrefix(hurtErr.Error(), "stuck") {
		return hurtErr
	}
	fmt.Fprintln(b.cfg.Out, "the faults are over; everything is let finish")
	w.note("the end", false)
	if hurtErr != nil {
		report.Stuck = hurtErr.Error()
	} else if !w.settled(ctx, drainAtMost) {
		report.Stuck = fmt.Sprintf("stuck: not recovered within %v from: %v", drainAtMost, w.open())
	}
	report.Audit = b.audit()
	for _, p := range b.members {
		if took, err := p.end(endWithin); err != nil {
			report.Faults = append(report.Faults, err.Error())
		} else {
			b.longestStop = max(b.longestStop, took)
		}
		report.Faults = append(report.Faults, p.faultsSoFar()...)
	}
	report.Sent, report.Tallies, report.LongestStop = t.sent.Load(), w.tallies(), b.longestStop
	report.Restart, report.Promises, report.Slow = b.restart, b.promises, b.slow
	return nil
}

// hurtBy does everything that is to be survived.
func (b *bed) hurtBy(ctx context.Context, w *watcher, report *Report) error {
	if b.cfg.Soak > 0 {
		return b.soak(ctx, w, report)
	}
	err := b.scenarios(ctx, w)
	orderly := b.longestStop // later ones may meet an outage
	if err == nil {
		err = b.hurtAll(ctx, w, rand.New(rand.NewPCG(b.cfg.Seed, 1)))
	}
	if orderly > stopAtMost {
		b.late("end in order: it took %.1f s, at most %v are promised", orderly.Seconds(), stopAtMost)
	}
	return err
}

// audit asks usher itself; the last markers may still be on their way to the sink.
func (b *bed) audit() (err error) {
	for range auditTries {
		if _, err = b.usher(hurt, "audit"); err == nil {
			return nil
		}
		time.Sleep(time.Second)
	}
	return err
}

// oracle recounts the log and plays it again, undisturbed.
func (b *bed) oracle(ctx context.Context) (*Verdict, error) {
	l, err := b.readLog(ctx)
	if err != nil {
		return nil, err
	}
	v, err := b.judge(ctx, l)
	if err != nil {
		return v, err
	}
	if err := b.playAgain(ctx, l); err != nil {
		return v, err
	}
	if err := b.compareRuns(ctx, v); err != nil || !v.Holds() {
		return v, err
	}
	return v, b.prove(ctx, l)
}

// playAgain runs usher over the whole log under other names.
func (b *bed) playAgain(ctx context.Context, l *inputLog) error {
	if err := b.prepare(calm); err != nil {
		return err
	}
	again := &watcher{adm: b.adm}
	for _, name := range []string{"route-a", "sink-a"} {
		p := b.member(name, calm)
		if err := p.start(); err != nil {
			return err
		}
		defer p.killForGood()
	}
	deadline := time.Now().Add(max(calmAtMost, b.cfg.Soak/2))
	for time.Now().Before(deadline) && ctx.Err() == nil {
		time.Sleep(watchEvery)
		routed, err := again.committed(ctx, calm.prefix+"usher.router", eventsTopic)
		if err != nil || !routed.reached(l.end) {
			continue
		}
		rows, err := again.last(ctx, calm.prefix+"usher.rows.v1")
		if err != nil {
			continue
		}
		stored, err := again.committed(ctx, calm.prefix+"usher.sink", calm.prefix+"usher.rows.v1")
		if err == nil && stored.reached(rows) {
			return nil
		}
	}
	return fmt.Errorf("the calm run did not finish within %v: see %s", calmAtMost, b.cfg.Dir)
}

// Print writes the table.
func (r *Report) Print(out io.Writer) {
	kills := 0
	for _, t := range r.Tallies {
		if t.kill {
			kills += t.times
		}
	}
	fmt.Fprintf(out, "\ntorture: %d kills, seed %d, %d events/s, %.0f s\n\n", kills, r.Config.Seed,
		r.Config.Rate, r.Took.Seconds())
	fmt.Fprintf(out, "%-28s %6s %18s %18s\n", "fault", "times", "median recovery", "longest recovery")
	var longest time.Duration
	for _, t := range r.Tallies {
		fmt.Fprintf(out, "%-28s %6d %16.1f s %16.1f s\n", t.kind, t.times, t.median.Seconds(),
			t.longest.Seconds())
		if t.never > 0 {
			fmt.Fprintf(out, "%-28s %6d never recovered from\n", "", t.never)
		}
		longest = max(longest, t.longest)
	}
	v := r.Verdict
	fmt.Fprintf(out, "\nrecovery is the time from the fault until all that the log held then was routed and stored\n")
	fmt.Fprintf(out, "\n%-28s %d\n%-28s %d\n%-28s %d\n%-28s %d\n%-28s %d\n", "events", v.Events, "dead letters",
		v.DeadLetters, "declared gaps (offsets)", v.Gaps, "decisions", v.Decisions,
		"SLA promises", v.Promises)
	fmt.Fprintf(out, "%-28s %d\n%-28s %d\n%-28s %d, %d rows\n", "conversations recounted", v.Recounted,
		"KPI facts recounted", v.Facts, "tables and views compared", v.Compared, v.CalmRows)
	fmt.Fprintf(out, "%-28s %d\n%-28s %d\n%-28s %d\n", "lost", v.Lost, "duplicated", v.Duplicated,
		"different", v.Different)
	fmt.Fprintf(out, "%-28s %.1f s\n%-28s %.1f s\n%-28s %.1f s\n", "longest recovery",
		longest.Seconds(), "longest end in order", r.LongestStop.Seconds(),
		"restart to first decision", r.Restart.Seconds())
	fmt.Fprintf(out, "%-28s %d\n%-28s %d\n", "ended by themselves", len(r.Faults),
		"promises not kept", len(r.Promises)+len(r.Slow))
	if r.Soak != nil {
		r.Soak.print(out)
		v.Notes = append(v.Notes, r.Soak.Findings...)
	}
	if r.Audit != nil {
		fmt.Fprintf(out, "usher audit: %v\n", r.Audit)
	}
	if r.Stuck != "" {
		fmt.Fprintln(out, r.Stuck)
	}
	slices.Sort(v.Notes)
	for _, note := range slices.Concat(r.Faults, r.Promises, r.Slow, v.Notes) {
		fmt.Fprintln(out, note)
	}
}
