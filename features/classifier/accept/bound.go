// Package accept decides whether a model may act alone: it counts how often the model is right at the
// cut-off on a tenant's own labelled messages, and accepts a label only when the exact lower bound of
// its precision reaches the wanted one (CONTRACT section 3). It is pure: no clock, no store.
package accept

import "math"

// Alpha is one minus the confidence of every bound: 95 %, one-sided.
const Alpha = 0.05

// Lower is the exact one-sided lower bound of a share of which right out of n were seen, with
// confidence 1 − alpha (Clopper and Pearson 1934): the p for which right or more out of n have the
// probability alpha. It is 0 when nothing was right.
func Lower(right, n int, alpha float64) float64 {
	if right <= 0 || n <= 0 {
		return 0
	}
	low, high := 0.0, 1.0
	for range bisections {
		p := (low + high) / 2
		if atLeast(right, n, p) > alpha {
			high = p
		} else {
			low = p
		}
	}
	return low
}

// bisections halve the interval until a float64 has nothing left between its ends.
const bisections = 60

// atLeast is the probability of right or more successes out of n, each with probability p. It adds
// the terms of the shorter side; each follows from its neighbour by a ratio.
func atLeast(right, n int, p float64) float64 {
	switch {
	case p <= 0:
		return 0
	case p >= 1:
		return 1
	}
	if float64(right) > float64(n)*p {
		return tail(right, n, p)
	}
	return 1 - tail(n-right+1, n, 1-p) // at most right − 1 successes are at least that many failures
}

// tail sums from k up to n, where k lies above the mean, so that the terms fall.
func tail(k, n int, p float64) float64 {
	lgN, _ := math.Lgamma(float64(n + 1))
	lgK, _ := math.Lgamma(float64(k + 1))
	lgR, _ := math.Lgamma(float64(n - k + 1))
	term := math.Exp(lgN - lgK - lgR + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	sum := term
	for ; k < n && term > sum*1e-18; k++ {
		term *= float64(n-k) / float64(k+1) * p / (1 - p)
		sum += term
	}
	return sum
}

// Needed is the fewest messages that prove a precision when so many of them are wrong. It is 0 when
// no number does (a precision of 1).
func Needed(wrong int, precision, alpha float64) int {
	if precision >= 1 {
		return 0
	}
	low, high := wrong, wrong+1
	for Lower(high-wrong, high, alpha) < precision {
		low, high = high, 2*high
	}
	for high-low > 1 {
		if mid := (low + high) / 2; Lower(mid-wrong, mid, alpha) < precision {
			low = mid
		} else {
			high = mid
		}
	}
	return high
}
