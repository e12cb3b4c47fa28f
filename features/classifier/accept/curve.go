package accept

import (
	"cmp"
	"slices"
)

// Scored is one message: the best score, and whether its label was right.
type Scored struct {
	Score float64
	Right bool
}

// Point is what a cut-off would do: of all messages, those at or above it.
type Point struct {
	AutoAt    float64 `json:"auto_at"`
	N         int     `json:"n"`
	Right     int     `json:"right"`
	Coverage  float64 `json:"coverage"`
	Precision float64 `json:"precision"`
	Low       float64 `json:"low"` // exact lower 95 % bound, one-sided
}

// Curve gives one point for every distinct score, from the highest down. It sorts the messages.
func Curve(messages []Scored) []Point {
	slices.SortFunc(messages, func(a, b Scored) int { return cmp.Compare(b.Score, a.Score) })
	var out []Point
	right := 0
	for i, m := range messages {
		if m.Right {
			right++
		}
		if i+1 < len(messages) && messages[i+1].Score == m.Score {
			continue // a cut-off takes all equals or none
		}
		out = append(out, Point{
			AutoAt: m.Score, N: i + 1, Right: right, Coverage: float64(i+1) / float64(len(messages)),
			Precision: float64(right) / float64(i+1), Low: Lower(right, i+1, Alpha),
		})
	}
	return out
}

// Cutoff is the lowest cut-off, not below floor, whose lower bound reaches a precision: the one that
// covers most. ok is false when there is none. The cut-off is chosen on the messages that prove it,
// so the proof is a little flattering: usher accept shows it on others.
func Cutoff(messages []Scored, precision, floor float64) (best Point, ok bool) {
	for _, p := range Curve(messages) {
		if p.AutoAt >= floor && p.Low >= precision {
			best, ok = p, true
		}
	}
	return best, ok
}
