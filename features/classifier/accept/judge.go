package accept

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// The kinds of journal rows that say whether a label may act alone.
const (
	KindAcceptance = "acceptance"
	KindRefusal    = "refusal"
	KindTakeBack   = "take_back"
)

// LifeMS is how long an acceptance holds: 90 days.
const LifeMS = 90 * 24 * 60 * 60 * 1000

// LiveMin is how many judged decisions it takes to take a label back, LiveWindow how many of the
// latest are looked at.
const (
	LiveMin    = 200
	LiveWindow = 500
)

// Tally counts the messages of one label that passed every gate of auto, and the right ones.
type Tally struct {
	Label string
	N     int
	Right int
}

// Verdict is what a tally proves.
type Verdict struct {
	Label    string  `json:"label"`
	N        int     `json:"n"`
	Right    int     `json:"right"`
	Low      float64 `json:"low"` // exact lower 95 % bound, one-sided
	Accepted bool    `json:"accepted"`
	// Missing is how many further messages, all right, would prove it.
	Missing int `json:"missing"`
}

// Judge decides about one label.
func Judge(t Tally, precision float64) Verdict {
	v := Verdict{Label: t.Label, N: t.N, Right: t.Right, Low: Lower(t.Right, t.N, Alpha)}
	v.Accepted = t.N > 0 && v.Low >= precision
	if !v.Accepted {
		v.Missing = Needed(t.N-t.Right, precision, Alpha) - t.N
	}
	return v
}

// CheckPrecision refuses what cannot be proven or means nothing.
func CheckPrecision(p float64) error {
	if !(p > 0 && p < 1) {
		return fmt.Errorf("precision is %v; give a number above 0 and below 1, as 0.95", p)
	}
	return nil
}

// Record is one journal row about a label: the JSON of its detail.
type Record struct {
	Model     string  `json:"model"`
	Version   string  `json:"version"`
	Checksum  string  `json:"checksum"`
	Head      string  `json:"head"`
	Label     string  `json:"label"`
	Precision float64 `json:"precision"` // the wanted one
	N         int     `json:"n"`
	Right     int     `json:"right"`
	Low       float64 `json:"low"`
	Gate      string  `json:"gate"` // the cut-offs that it was shown at
	ExpiresMS int64   `json:"expires_ms,omitempty"`

	Kind   string `json:"-"`
	Tenant string `json:"-"`
	AtMS   int64  `json:"-"`
}

// Standing is what the journal says about one model: the latest row of each tenant, head and label.
type Standing struct {
	checksum string
	latest   map[[3]string]Record
}

// NewStanding reads the rows about the model with this checksum; those of others, of another version
// too, say nothing about it. Of two rows of one instant the one that forbids goes first.
func NewStanding(checksum string, records []Record) *Standing {
	s := &Standing{checksum: checksum, latest: make(map[[3]string]Record)}
	records = slices.Clone(records)
	slices.SortStableFunc(records, func(a, b Record) int {
		if c := cmp.Compare(a.AtMS, b.AtMS); c != 0 {
			return c
		}
		return cmp.Compare(allowing(a), allowing(b))
	})
	for _, r := range records {
		if r.Checksum == checksum {
			s.latest[[3]string{r.Tenant, r.Head, r.Label}] = r
		}
	}
	return s
}

// With is the standing after one more row.
func (s *Standing) With(r Record) *Standing {
	out := &Standing{checksum: s.checksum, latest: maps.Clone(s.latest)}
	if r.Checksum == s.checksum {
		out.latest[[3]string{r.Tenant, r.Head, r.Label}] = r
	}
	return out
}

// allowing sorts an acceptance before what forbids.
func allowing(r Record) int {
	if r.Kind == KindAcceptance {
		return 0
	}
	return 1
}

// Holds reports whether a label of a head may act alone for a tenant: it was accepted, at these cut-offs, not
// taken back since, and not too long ago.
func (s *Standing) Holds(tenant, head, label, gate string, nowMS int64) bool {
	r, ok := s.latest[[3]string{tenant, head, label}]
	return ok && r.Kind == KindAcceptance && r.Gate == gate && nowMS < r.ExpiresMS
}

// Accepted are the acceptances that hold, whatever the cut-offs are, by tenant, head and label.
func (s *Standing) Accepted(nowMS int64) []Record {
	var out []Record
	for _, r := range s.latest {
		if r.Kind == KindAcceptance && nowMS < r.ExpiresMS {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Record) int {
		return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Head, b.Head),
			cmp.Compare(a.Label, b.Label))
	})
	return out
}

// Unproven is one entry per label of a head: whether it must not act alone for the tenant. Gates are
// those of the same labels.
func (s *Standing) Unproven(tenant, head string, labels, gates []string, nowMS int64) []bool {
	out := make([]bool, len(labels))
	for i := range labels {
		out[i] = !s.Holds(tenant, head, labels[i], gates[i], nowMS)
	}
	return out
}

// TakenBack decides about a live label: the row that takes it back, or false while it holds. The
// tally is of the latest decisions that acted and that somebody judged.
func TakenBack(r Record, live Tally) (Record, bool) {
	if live.N < LiveMin || float64(live.Right) >= r.Precision*float64(live.N) {
		return Record{}, false
	}
	r.Kind, r.N, r.Right, r.ExpiresMS = KindTakeBack, live.N, live.Right, 0
	r.Low = Lower(live.Right, live.N, Alpha)
	return r, true
}
