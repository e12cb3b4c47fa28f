package accept

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJudge(t *testing.T) {
	judge := func(right, n int, accepted bool, missing int) {
		t.Helper()
		v := Judge(Tally{Label: "deal", N: n, Right: right}, 0.95)
		if v.Accepted != accepted || v.Missing != missing {
			t.Errorf("%d of %d: %+v, want accepted %v, missing %d", right, n, v, accepted, missing)
		}
	}
	judge(58, 58, false, 1)
	judge(59, 59, true, 0)
	judge(91, 92, false, 1)
	judge(92, 93, true, 0)
	judge(0, 0, false, 59)
	judge(0, 1, false, 92)
}

func TestStanding(t *testing.T) {
	const day = int64(24 * 60 * 60 * 1000)
	row := func(kind, tenant, label string, at int64) Record {
		r := Record{Kind: kind, Checksum: "c1", Tenant: tenant, Head: "intent", Label: label, Gate: "0.9/0/0",
			AtMS: at}
		if kind == KindAcceptance {
			r.ExpiresMS = at + LifeMS
		}
		return r
	}
	old := row(KindAcceptance, "salon7", "claim", 0)
	old.Checksum = "c0"
	rows := []Record{
		row(KindTakeBack, "clinic", "deal", 2),
		row(KindAcceptance, "salon7", "deal", 1),
		row(KindAcceptance, "clinic", "deal", 1),
		row(KindRefusal, "salon7", "request", 1),
		row(KindAcceptance, "salon7", "request", 1), // of one instant, the refusal counts
		old,
	}
	// What is said about a label of another head says nothing about this one's of that name.
	for _, kind := range []string{KindAcceptance, KindRefusal} {
		other := row(kind, "salon7", map[string]string{KindAcceptance: "waits", KindRefusal: "deal"}[kind], 1)
		other.Head, other.ExpiresMS = "sentiment", 0
		rows = append(rows, other)
	}
	s := NewStanding("c1", rows)
	holds := func(tenant, label, gate string, now int64, want bool) {
		t.Helper()
		if got := s.Holds(tenant, "intent", label, gate, now); got != want {
			t.Errorf("%s, %s at %d with %s: %v, want %v", tenant, label, now, gate, got, want)
		}
	}
	const gate = "0.9/0/0"
	holds("salon7", "deal", gate, 2, true)
	holds("salon7", "deal", "0.8/0/0", 2, false) // other cut-offs
	holds("salon7", "deal", gate, 90*day, true)
	holds("salon7", "deal", gate, 90*day+1, false) // 90 days after
	holds("other", "deal", gate, 2, false)         // another tenant
	holds("clinic", "deal", gate, 2, false)        // taken back
	holds("salon7", "request", gate, 2, false)
	holds("salon7", "claim", gate, 2, false) // another version of the model
	holds("salon7", "waits", gate, 0, false)
	got := s.Unproven("salon7", "intent", []string{"deal", "claim"}, []string{gate, gate}, 2)
	if diff := cmp.Diff([]bool{false, true}, got); diff != "" {
		t.Error(diff)
	}
	if a := s.Accepted(2); len(a) != 1 || a[0].Label != "deal" || a[0].Tenant != "salon7" {
		t.Errorf("accepted: %+v", a)
	}
	if a := s.Accepted(90*day + 1); len(a) != 0 {
		t.Errorf("accepted for ever: %+v", a)
	}
	again := NewStanding("c1", append(rows, row(KindAcceptance, "clinic", "deal", 3)))
	if !again.Holds("clinic", "intent", "deal", gate, 4) {
		t.Error("what was taken back cannot be accepted again")
	}
}

func TestTakenBack(t *testing.T) {
	r := Record{Kind: KindAcceptance, Tenant: "salon7", Label: "deal", Precision: 0.95, ExpiresMS: 9}
	taken := func(right, n int, want bool) {
		t.Helper()
		got, ok := TakenBack(r, Tally{Label: "deal", N: n, Right: right})
		if ok != want {
			t.Errorf("%d of %d: taken back %v, want %v", right, n, ok, want)
		}
		if ok && (got.Kind != KindTakeBack || got.Tenant != "salon7" || got.N != n || got.ExpiresMS != 0) {
			t.Errorf("%d of %d: row %+v", right, n, got)
		}
	}
	taken(100, 199, false) // too few to say
	taken(190, 200, false) // exactly the target
	taken(189, 200, true)
	taken(500, 500, false)
}
