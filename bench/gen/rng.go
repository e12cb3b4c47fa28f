package gen

// rng is splitmix64: eight bytes of state, the same sequence on every machine and Go version, which
// math/rand does not promise. All draws are integers, so that no fused multiply-add of another
// processor can change a byte of the stream.
type rng uint64

func (r *rng) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	return mix(uint64(*r))
}

// below returns a number in [0, n); n must be positive and below 2^32. The bias of the multiplication is under
// n / 2^32 and of no interest here.
func (r *rng) below(n int) int { return int((r.next() >> 32) * uint64(n) >> 32) }

// in returns a number in [low, high].
func (r *rng) in(low, high int) int { return low + r.below(high-low+1) }

// chance is true perMille times in a thousand.
func (r *rng) chance(perMille int) bool { return r.below(1000) < perMille }

// pick returns an index with a probability in proportion to its weight.
func (r *rng) pick(weights []int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	at := r.below(sum)
	for i, w := range weights {
		if at -= w; at < 0 {
			return i
		}
	}
	return len(weights) - 1
}

// mix is the finaliser of splitmix64: a bijection, so distinct inputs stay distinct.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// quantiles of the log-normal distribution with sigma 1, median 1000, at i/64 (the ends at 0.002
// and 0.998): human waits have such a tail, and a table needs no floating point.
var quantiles = [65]int64{56, 116, 155, 187, 216, 242, 268, 292, 317, 340, 364, 388, 412, 436, 460,
	485, 509, 535, 560, 587, 613, 641, 669, 698, 727, 758, 789, 821, 854, 889, 925, 962, 1000, 1040,
	1082, 1125, 1170, 1218, 1268, 1320, 1375, 1434, 1495, 1561, 1630, 1705, 1784, 1870, 1963, 2064,
	2174, 2294, 2428, 2577, 2746, 2937, 3159, 3421, 3736, 4128, 4637, 5344, 6441, 8618, 17782}

// delayMS draws a wait with the given median.
func (r *rng) delayMS(medianMS int64) int64 {
	u := r.next()
	i := u >> 58
	fraction := int64(u >> 48 & 1023)
	q := quantiles[i] + (quantiles[i+1]-quantiles[i])*fraction/1024
	return medianMS*q/1000 + int64(u&511)
}
