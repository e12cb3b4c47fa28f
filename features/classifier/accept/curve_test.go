package accept

import (
	"math/rand/v2"
	"testing"
)

// Against the obvious count for every cut-off.
func TestCurveAndCutoff(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		messages := make([]Scored, 1+r.IntN(300))
		for i := range messages {
			score := float64(r.IntN(20)+80) / 100 // many equals
			messages[i] = Scored{Score: score, Right: r.Float64() < score}
		}
		const precision, floor = 0.85, 0.83
		want, found := 2.0, false
		for step := 83; step <= 100; step++ {
			at := float64(step) / 100
			n, right := 0, 0
			for _, m := range messages {
				if m.Score >= at {
					n++
					if m.Right {
						right++
					}
				}
			}
			if n > 0 && Lower(right, n, Alpha) >= precision {
				// the cut-off is a score that occurs: the lowest that takes the same messages
				lowest := 2.0
				for _, m := range messages {
					if m.Score >= at {
						lowest = min(lowest, m.Score)
					}
				}
				want, found = lowest, true
				break
			}
		}
		got, ok := Cutoff(messages, precision, floor)
		if ok != found || ok && got.AutoAt != want {
			t.Fatalf("cut-off %v, %v; want %v, %v", got.AutoAt, ok, want, found)
		}
		points := Curve(messages)
		if last := points[len(points)-1]; last.N != len(messages) || last.Coverage != 1 {
			t.Fatalf("the curve ends at %+v of %d messages", last, len(messages))
		}
	}
}
