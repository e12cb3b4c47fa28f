package accept

import (
	"math"
	"math/big"
	"testing"
)

// CLASSIFIER.md gives the arithmetic: what proves 95 %.
func TestNeeded(t *testing.T) {
	for wrong, want := range map[int]int{0: 59, 1: 93, 3: 153, 5: 208, 10: 336} {
		if got := Needed(wrong, 0.95, Alpha); got != want {
			t.Errorf("with %d wrong: %d messages, want %d", wrong, got, want)
		}
	}
	if got := Needed(0, 1, Alpha); got != 0 {
		t.Errorf("precision 1 is proven by %d messages, want by none", got)
	}
}

func TestLowerAtTheEdge(t *testing.T) {
	if low := Lower(58, 58, Alpha); low >= 0.95 {
		t.Errorf("58 of 58: %v, want below 0.95", low)
	}
	if low := Lower(59, 59, Alpha); low < 0.95 {
		t.Errorf("59 of 59: %v, want 0.95 or more", low)
	}
	// All right: the bound is the n-th root of alpha.
	for _, n := range []int{1, 2, 59, 1000, 100_000} {
		if got, want := Lower(n, n, Alpha), math.Pow(Alpha, 1/float64(n)); math.Abs(got-want) > 1e-12 {
			t.Errorf("%d of %d: %v, want %v", n, n, got, want)
		}
	}
	if Lower(0, 10, Alpha) != 0 || Lower(0, 0, Alpha) != 0 {
		t.Error("nothing right proves something")
	}
}

// The bound is the p at which the binomial tail is alpha: summed here with 300 bits, not with
// logarithms.
func TestLowerAgainstExactSums(t *testing.T) {
	for _, c := range [][2]int{{1, 1}, {1, 20}, {5, 9}, {92, 93}, {150, 153}, {203, 208}, {326, 336},
		{500, 1000}, {3, 400}, {397, 400}} {
		right, n := c[0], c[1]
		p := Lower(right, n, Alpha)
		if got := exactTail(right, n, p); math.Abs(got-Alpha) > 1e-9 {
			t.Errorf("%d of %d: bound %v has a tail of %v, want %v", right, n, p, got, Alpha)
		}
	}
}

func exactTail(right, n int, p float64) float64 {
	const bits = 300
	number := func(x float64) *big.Float { return new(big.Float).SetPrec(bits).SetFloat64(x) }
	power := func(x *big.Float, k int) *big.Float {
		out := number(1)
		for range k {
			out.Mul(out, x)
		}
		return out
	}
	hit := number(p)
	miss := new(big.Float).SetPrec(bits).Sub(number(1), hit)
	sum := number(0)
	for k := right; k <= n; k++ {
		term := new(big.Float).SetPrec(bits).SetInt(new(big.Int).Binomial(int64(n), int64(k)))
		term.Mul(term, power(hit, k)).Mul(term, power(miss, n-k))
		sum.Add(sum, term)
	}
	out, _ := sum.Float64()
	return out
}
