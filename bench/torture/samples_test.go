package torture

import (
	"strings"
	"testing"
	"time"
)

// made is an hour of samples of a steady process and steady tables, which a test then bends: with a
// saw of the garbage collector, and with lives of eight minutes for the members that are killed.
func made(bend func(name string, minute float64, s *sample)) *samples {
	began := time.UnixMilli(1_795_176_000_000)
	out := &samples{processes: make(map[string][]sample)}
	for i := range 300 {
		at := began.Add(time.Duration(i) * sampleEvery)
		minute := at.Sub(began).Minutes()
		for _, name := range memberNames {
			born := began.Add(-time.Minute)
			if strings.HasSuffix(name, "-a") {
				born = began.Add(time.Duration(int(minute)/8*8) * time.Minute)
			}
			s := sample{life: float64(born.UnixMilli()) / 1000, at: at, rss: 90 << 20, goroutines: 40,
				heap: float64(20+i%5*6) * (1 << 20)}
			if bend != nil {
				bend(name, minute, &s)
			}
			out.processes[name] = append(out.processes[name], s)
		}
		out.parts = append(out.parts, partCount{at, map[string]int64{"events": int64(minute * 60 * 1.8)}})
	}
	return out
}

// TestSoakJudges: each promise of a soak can be broken, and each break is told as what it is.
func TestSoakJudges(t *testing.T) {
	mbOf := func(minute, perMinute float64) float64 { return minute * perMinute * (1 << 20) }
	lifeMinutes := func(s *sample) float64 { return s.age().Minutes() }
	for _, c := range []struct {
		name string
		bend func(string, float64, *sample)
		want []string // beginnings of the findings
	}{
		{"steady", nil, nil},
		{"a member that lives the whole time grows", func(name string, minute float64, s *sample) {
			if name == "sink-b" {
				s.rss += mbOf(minute, 1)
				s.heap += mbOf(minute, 1)
			}
		}, []string{"sink-b resident bytes", "sink-b heap bytes"}},
		{"the heap alone grows, under its saw", func(name string, minute float64, s *sample) {
			if name == "route-b" {
				s.heap += mbOf(minute, 0.8)
			}
		}, []string{"route-b heap bytes"}},
		{"each life begins with more", func(name string, minute float64, s *sample) {
			if name == "route-a" {
				s.rss += mbOf(minute-lifeMinutes(s), 1)
			}
		}, []string{"route-a resident bytes"}},
		{"a goroutine is left over with each kill", func(name string, minute float64, s *sample) {
			if name == "sink-b" {
				s.goroutines += float64(int(minute / 2))
			}
		}, []string{"sink-b goroutines"}},
		{"what comes before the visits are known, and before a life is warm", func(_ string, minute float64,
			s *sample) {
			if minute < 2 || s.age() < warmAge {
				s.rss, s.goroutines = 1<<20, 3
			}
		}, nil},
		{"a process that does not answer", func(name string, _ float64, s *sample) {
			if name == "sink-a" {
				s.life = float64(s.at.UnixMilli()) / 1000 // it is always young
			}
		}, []string{"sink-a resident bytes: too few", "sink-a heap bytes: too few",
			"sink-a goroutines: too few"}},
	} {
		s := made(c.bend)
		found := s.judge(s.parts[0].at.Add(soakLetUp)).Findings
		ok := len(found) == len(c.want)
		for i := 0; ok && i < len(found); i++ {
			ok = strings.HasPrefix(found[i], c.want[i])
		}
		if !ok {
			t.Errorf("%s: found %q, want %q", c.name, found, c.want)
		}
	}
}

// TestPartRates: too many parts are found over all and in one minute, an engine that is away is not
// taken for a quiet one, and no counts are no proof.
func TestPartRates(t *testing.T) {
	count := func(of func(minute float64) float64) *samples {
		s := made(nil)
		for i := range s.parts {
			minute := s.parts[i].at.Sub(s.parts[0].at).Minutes()
			s.parts[i].parts = map[string]int64{"events": int64(of(minute)), "turns": int64(minute)}
		}
		return s
	}
	broken := func(s *samples) int { return len(s.judge(s.parts[0].at).Findings) }
	if n := broken(count(func(m float64) float64 { return m * 60 * 1.9 })); n != 0 {
		t.Errorf("1.9 parts a second: %d findings", n)
	}
	if n := broken(count(func(m float64) float64 { return m * 60 * 2.1 })); n != 1 {
		t.Errorf("2.1 parts a second: %d findings, want one", n)
	}
	burst := count(func(m float64) float64 { return m*60 + 100*min(max(m-30, 0), 1) })
	if n := broken(burst); n != 1 {
		t.Errorf("one minute of 2.7 parts a second: %d findings, want one", n)
	}
	away := count(func(m float64) float64 { return m * 60 * 1.9 })
	away.parts = append(away.parts[:100:100], away.parts[140:]...)
	if n := broken(away); n != 0 {
		t.Errorf("an engine that was away: %d findings", n)
	}
	none := count(func(m float64) float64 { return m })
	none.parts = none.parts[:3]
	if n := broken(none); n != 1 {
		t.Errorf("three counts: %d findings, want one", n)
	}
}
