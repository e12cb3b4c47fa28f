package sim

import (
	"strings"
	"testing"

	"usher/pipeline"
	"usher/sinks/clickhouse/deliver"
)

// weakened lists every protection with a world in which taking it away is noticed. The seeds
// are where the search begins; it may go on to weakSeedsMax.
var weakened = []struct {
	name string
	seed uint64
	weak Weak
}{
	{"no intent", 1, Weak{Stage2: deliver.WeakNoIntent}},
	{"intent not awaited", 3, Weak{Stage2: deliver.WeakIntentNotAwaited}},
	{"no generation fence", 1, Weak{NoFence: true}},
	{"no token", 5, Weak{NoToken: true}},
	{"offset before insert", 1, Weak{Stage2: deliver.WeakOffsetFirst}},
	{"no lease", 6, Weak{NoLease: true}},
	{"unfenced intent store", 2, Weak{IntentUnfenced: true}},
	{"no read-back", 51, Weak{Stage2: deliver.WeakNoReadBack}},
	{"blind resend with a fresh lease", 1, Weak{Stage2: deliver.WeakBlindResend}},
	{"token from the start offset only", 1, Weak{TokenOfStart: true}},
	{"partial inserts unseen", 1, Weak{Stage2: deliver.WeakPartialUnseen}},
	{"window shorter than the lease", 1, Weak{ShortWindow: true}},
	{"a subset of a block re-sent", 1, Weak{Stage2: deliver.WeakSubset}},
	{"a range across two days", 26, Weak{Stage2: deliver.WeakManyDays}},
	{"generation not kept", 24, Weak{GenerationNotKept: true}},
	{"timer-only transaction unfenced", 1, Weak{Stage1: pipeline.WeakTimersUnfenced}},

	{"no second look", 1, Weak{Stage2: deliver.WeakNoSecondLook}},
	{"commit in doubt left on its way", 92, Weak{NoRenewal: true}},
	{"router's offsets unfenced", 22, Weak{Stage1Unfenced: true}},
	{"unstable offset fetch", 4, Weak{UnstableFetch: true}},
	{"revocation unseen", 26, Weak{RevokedUnseen: true}},
	{"state kept on abort", 1, Weak{Stage1: pipeline.WeakStateKeptOnAbort}},
	{"restore by offset only", 1, Weak{Stage1: pipeline.WeakRestoreByOffset}},
}

// weakSeedsMax is how many worlds a weakened protocol may survive.
const weakSeedsMax = 300

// TestWeakenedProtocolsAreCaught: were one of them not, the simulation would prove nothing.
func TestWeakenedProtocolsAreCaught(t *testing.T) {
	r := newRunner(t)
	for _, x := range weakened {
		caught := false
		for n := range uint64(weakSeedsMax + 1) {
			// First the seed that is known to notice, then all in order.
			seed := n
			if n == 0 {
				seed = x.seed
			}
			if out := r.Run(seed, x.weak); out.Wrong != "" {
				what, _, _ := strings.Cut(out.Wrong, "\n")
				t.Logf("%s: caught by seed %d: %.120s", x.name, seed, what)
				caught = true
				break
			}
		}
		if !caught {
			t.Errorf("%s: not caught by %d seeds", x.name, weakSeedsMax)
		}
	}
}

// TestSecondLocks: protections that others stand behind hold when they alone are taken away. Were it
// not so, the list above would have to name them.
func TestSecondLocks(t *testing.T) {
	r := newRunner(t)
	for seed := range number(t, "SEEDS", 10) {
		if out := r.Run(seed+1, Weak{RevokedNotAwaited: true}); out.Wrong != "" {
			t.Fatalf("revocation not awaited: caught by seed %d: %.160s", seed+1, out.Wrong)
		}
	}
}
