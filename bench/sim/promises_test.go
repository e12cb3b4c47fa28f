package sim

import (
	"maps"
	"strings"
	"testing"
	"time"

	"usher/features/conversation"
	"usher/pipeline"
)

// TestPromises plays worlds with SLA policies, five each, until POLICIES have been tried, from the seed
// FROM on; SEED plays the world of one seed.
func TestPromises(t *testing.T) {
	r := newRunner(t)
	first := number(t, "FROM", 1)
	last := first - 1 + max(1, number(t, "POLICIES", 40)/PoliciesPerWorld)
	if one := number(t, "SEED", 0); one > 0 {
		first, last = one, one
	}
	var sum Counts
	ended := map[string]int{}
	failed := 0
	began := time.Now()
	for seed := first; seed <= last; seed++ {
		out := r.RunPromises(seed, Weak{})
		if out.Wrong != "" {
			if first == last {
				t.Log(strings.Join(out.Trace, "\n"))
			}
			t.Errorf("seed %d (trace %s): %s\n\trun it again with: make sim-sla SEED=%d",
				seed, out.Name(), out.Wrong, seed)
			if failed++; failed == failuresMax {
				t.Fatal("enough")
			}
		}
		sum.add(&out.Counts)
		for _, want := range newPromises(seed).want {
			if want.status != "" && want.atMS <= dueUntilMS {
				ended[want.status]++
			}
			if want.soonMS != 0 && want.soonMS <= dueUntilMS {
				ended[dueSoon]++
			}
		}
	}
	worlds := last - first + 1
	t.Logf("%d policies in %d worlds, %.1f s: each of %d promises broken, %d met and %d cancelled ended once, "+
		"%d warnings: %s", worlds*PoliciesPerWorld, worlds, time.Since(began).Seconds(), ended["breached"],
		ended["met"], ended["cancelled"], ended[dueSoon], sum.String())
	for _, status := range []string{"breached", "met", "cancelled", dueSoon} {
		if ended[status] == 0 {
			t.Errorf("no promise was %s: the worlds show nothing", status)
		}
	}
}

// TestPromisesNoticeWeakenedProtocols: a timer that fires twice, or is forgotten, is found.
func TestPromisesNoticeWeakenedProtocols(t *testing.T) {
	r := newRunner(t)
	for name, weak := range map[string]Weak{
		"timer-only transaction unfenced": {Stage1: pipeline.WeakTimersUnfenced},
		"state kept on abort":             {Stage1: pipeline.WeakStateKeptOnAbort},
		"restore by offset only":          {Stage1: pipeline.WeakRestoreByOffset},
	} {
		seed := uint64(1)
		for ; seed <= weakSeedsMax; seed++ {
			if out := r.RunPromises(seed, weak); out.Wrong != "" {
				what, _, _ := strings.Cut(out.Wrong, "\n")
				t.Logf("%s: caught by seed %d: %.160s", name, seed, what)
				break
			}
		}
		if seed > weakSeedsMax {
			t.Errorf("%s: not caught by %d seeds", name, weakSeedsMax)
		}
	}
}

// TestClocks: the plain computation, on talks small enough to count by hand.
func TestClocks(t *testing.T) {
	const s = 1_000
	policy := drawnPolicy(30*s, 20*s, 40*s, 100*s)
	for _, c := range []struct {
		name string
		said []said
		want map[string]outcome // by metric and turn
	}{
		{"nobody answers", []said{{atMS: 0, what: asks}}, map[string]outcome{
			"first_reply 1": {"p", "breached", 30 * s, 15 * s}, "requester_wait 0": {"p", "breached", 40 * s, 20 * s},
			"time_to_close 0": {"p", "breached", 100 * s, 50 * s}}},
		{"in time, closed", []said{{atMS: 0, what: asks}, {atMS: 10 * s, what: replies}, {atMS: 12 * s, what: closed}},
			map[string]outcome{"first_reply 1": {"p", "met", 10 * s, 0}, "requester_wait 0": {"p", "met", 12 * s, 0},
				"time_to_close 0": {"p", "met", 12 * s, 0}}},
		{"closed without an answer", []said{{atMS: 0, what: asks}, {atMS: 12 * s, what: closed}},
			map[string]outcome{"first_reply 1": {"p", "cancelled", 12 * s, 0}, "requester_wait 0": {"p", "met", 12 * s, 0},
				"time_to_close 0": {"p", "met", 12 * s, 0}}},
		{"a pause of ten seconds", []said{{atMS: 0, what: asks}, {atMS: 5 * s, what: pending},
			{atMS: 15 * s, what: opened}}, map[string]outcome{
			"first_reply 1": {"p", "breached", 40 * s, 25 * s}, "requester_wait 0": {"p", "breached", 50 * s, 30 * s},
			"time_to_close 0": {"p", "breached", 110 * s, 60 * s}}},
		{"the second wait", []said{{atMS: 0, what: asks}, {atMS: 31 * s, what: botReplies}, {atMS: 50 * s, what: asks}},
			map[string]outcome{"first_reply 1": {"p", "breached", 30 * s, 15 * s},
				"next_reply 2":     {"p", "breached", 70 * s, 60 * s},
				"requester_wait 0": {"p", "breached", 59 * s, 20 * s},
				"time_to_close 0":  {"p", "breached", 100 * s, 50 * s}}},
	} {
		got := map[string]outcome{}
		for _, k := range clocksOf(&talk{said: c.said}, policy) {
			got[k.about.metric+" "+string(rune('0'+k.about.turn))] = k.outcome(nil)
		}
		if !maps.Equal(got, c.want) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
		}
	}
}

func drawnPolicy(first, next, wait, toClose int64) []conversation.Policy {
	return []conversation.Policy{{Name: "p", DueSoon: 0.5, TargetMS: [4]int64{first, next, wait, toClose}}}
}
