package torture

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// What a run promises beside losing nothing (DELIVERY, CONTRACT), and how long the outages of the
// scenarios last: longer than a pulse, shorter than a session where that matters.
const (
	stopAtMost    = 10 * time.Second // an end in order
	restartAtMost = 15 * time.Second // from a start to the first new decision
	awayFor       = 9 * time.Second
	readyAtMost   = 120 * time.Second // longer than any machine needs: nothing is promised about it
	scenarioPoll  = 200 * time.Millisecond
)

// scenarios play the outages and the life of processes one by one, under load, and hold usher to what
// it says meanwhile. They come before the kills: a promise about time holds while nothing else goes
// wrong.
func (b *bed) scenarios(ctx context.Context, w *watcher) error {
	for _, s := range []struct {
		kind string
		play func(context.Context, *watcher) error
	}{
		{"scenario: engine away", b.engineAway},
		{"scenario: Kafka away", b.kafkaAway},
		{"scenario: end and restart", b.endAndRestart},
		{"scenario: second members", b.secondMembers},
	} {
		fmt.Fprintf(b.cfg.Out, "%s %s\n", time.Now().UTC().Format("15:04:05.000"), s.kind)
		w.note(s.kind, false)
		if err := s.play(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", s.kind, err)
		}
		if !w.settled(ctx, stuckAfter) {
			return fmt.Errorf("stuck: not recovered within %v from: %v", stuckAfter, w.open())
		}
	}
	return nil
}

// engineAway: routing goes on and stays ready, the sink says why it is not, the rows wait in Kafka.
func (b *bed) engineAway(ctx context.Context, w *watcher) error {
	b.engine.killForGood()
	before, err := w.committed(ctx, hurt.prefix+"usher.router", eventsTopic)
	if err != nil {
		return err
	}
	if err := b.saysUnready(ctx, "sink-a", "clickhouse: "); err != nil {
		return err
	}
	time.Sleep(awayFor)
	var routed int64
	for began := time.Now(); routed < int64(b.cfg.Rate) && time.Since(began) < stuckAfter; {
		after, err := w.committed(ctx, hurt.prefix+"usher.router", eventsTopic)
		if err != nil {
			return err
		}
		if routed = after.sum() - before.sum(); routed < int64(b.cfg.Rate) {
			time.Sleep(scenarioPoll)
		}
	}
	if routed < int64(b.cfg.Rate) { // a second's
		b.broken("engine away: %d events were routed meanwhile, want at least %d", routed, b.cfg.Rate)
	}
	if why, err := b.unready(ctx, "route-a"); err != nil || why != "" {
		b.broken("engine away: the router says %q (%v), it does not need the engine", why, err)
	}
	if err := b.engine.start(); err != nil {
		return err
	}
	return b.saysReady(ctx, "sink-a")
}

// kafkaAway: both say so and go on by themselves.
func (b *bed) kafkaAway(ctx context.Context, _ *watcher) error {
	b.wires["kafka"].cut()
	time.Sleep(awayFor)
	err := errors.Join(b.saysUnready(ctx, "route-a", "kafka: "), b.saysUnready(ctx, "sink-a", "kafka: "))
	if err := errors.Join(err, b.wires["kafka"].heal()); err != nil {
		return err
	}
	return errors.Join(b.saysReady(ctx, "route-a"), b.saysReady(ctx, "sink-a"))
}

// endAndRestart: an end in order leaves nothing in doubt, and decisions flow soon after a start.
func (b *bed) endAndRestart(ctx context.Context, w *watcher) error {
	for _, name := range []string{"sink-a", "route-a"} {
		if err := b.endInOrder(b.members[name]); err != nil {
			return err
		}
	}
	rows := hurt.prefix + "usher.rows.v1"
	stable, err := w.ends(ctx, rows)
	if err != nil {
		return err
	}
	last, err := w.last(ctx, rows)
	if err != nil {
		return err
	}
	if !stable.reached(last) {
		b.broken("end in order: a transaction was left open: stable %v, end %v", stable, last)
	}
	decisions := hurt.prefix + "chat.decisions.v1"
	before, err := w.ends(ctx, decisions)
	if err != nil {
		return err
	}
	began := time.Now()
	for _, name := range []string{"route-a", "sink-a"} {
		if err := b.members[name].start(); err != nil {
			return err
		}
	}
	for time.Since(began) < stuckAfter {
		now, err := w.ends(ctx, decisions)
		if err == nil && now.sum() > before.sum() {
			break
		}
		time.Sleep(scenarioPoll)
	}
	b.restart = time.Since(began)
	if b.restart > restartAtMost {
		b.late("restart: %.1f s to the first new decision, at most %v are promised",
			b.restart.Seconds(), restartAtMost)
	}
	return nil
}

// secondMembers join under load, take partitions over, and leave.
func (b *bed) secondMembers(ctx context.Context, _ *watcher) error {
	for _, name := range []string{"route-b", "sink-b"} {
		p := b.members[name]
		if err := p.start(); err != nil {
			return err
		}
		if err := b.saysReady(ctx, name); err != nil {
			return err
		}
		time.Sleep(warmUp)
		if err := b.endInOrder(p); err != nil {
			return err
		}
	}
	return nil
}

// broken notes a promise that was not kept.
func (b *bed) broken(format string, args ...any) {
	b.promises = append(b.promises, fmt.Sprintf(format, args...))
}

// late notes a promise about time that was not kept. A machine that does other things besides makes
// that of any program, so it is told and fails only where Config.Times asks for it.
func (b *bed) late(format string, args ...any) {
	b.slow = append(b.slow, fmt.Sprintf(format, args...))
}

// endInOrder ends a member by SIGTERM and holds it to the time that is promised.
func (b *bed) endInOrder(p *process) error {
	took, err := p.end(endWithin)
	b.longestStop = max(b.longestStop, took)
	return err
}

// unready asks a member's /readyz; empty when it is ready.
func (b *bed) unready(ctx context.Context, name string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.admin[name]+"/readyz", nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("cannot ask %s: %w", name, err)
	}
	defer resp.Body.Close()
	var body struct{ Status, Reason string }
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		return "", fmt.Errorf("cannot read the answer of %s: %w", name, err)
	}
	if (resp.StatusCode == http.StatusOK) != (body.Reason == "") {
		return "", fmt.Errorf("%s answers %s with the reason %q", name, resp.Status, body.Reason)
	}
	return body.Reason, nil
}

func (b *bed) saysUnready(ctx context.Context, name, reason string) error {
	return b.says(ctx, name, reason, func(why string) bool { return strings.Contains(why, reason) })
}

func (b *bed) saysReady(ctx context.Context, name string) error {
	return b.says(ctx, name, "nothing", func(why string) bool { return why == "" })
}

// says waits until a member's reason is right.
func (b *bed) says(ctx context.Context, name, want string, right func(string) bool) error {
	deadline := time.Now().Add(readyAtMost)
	for {
		why, err := b.unready(ctx, name)
		if err == nil && right(why) {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			b.broken("/readyz of %s says %q (%v) for %v, want %s", name, why, err, readyAtMost, want)
			return nil
		}
		time.Sleep(scenarioPoll)
	}
}

func (have offsets) sum() (n int64) {
	for _, o := range have {
		n += o
	}
	return n
}
