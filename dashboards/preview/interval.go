package preview

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// nice are Grafana's bucket sizes in milliseconds: an interval below .below becomes .size
// (roundInterval of Grafana's rangeutil).
var nice = []struct{ below, size int64 }{
	{10, 1}, {15, 10}, {35, 20}, {75, 50}, {150, 100}, {350, 200}, {750, 500}, {1500, 1000},
	{3500, 2000}, {7500, 5000}, {12500, 10_000}, {17500, 15_000}, {25_000, 20_000},
	{45_000, 30_000}, {90_000, 60_000}, {210_000, 120_000}, {450_000, 300_000},
	{750_000, 600_000}, {1_050_000, 900_000}, {1_500_000, 1_200_000}, {2_700_000, 1_800_000},
	{5_400_000, 3_600_000}, {9_000_000, 7_200_000}, {16_200_000, 10_800_000},
	{32_400_000, 21_600_000}, {86_400_000, 43_200_000}, {604_800_000, 86_400_000},
	{1_814_400_000, 604_800_000}, {3_628_800_000, 2_592_000_000}, {math.MaxInt64, 31_536_000_000},
}

// bucket is the size of one bucket when a range is drawn with so many points, least at the
// smallest.
func bucket(span time.Duration, points int, least time.Duration) time.Duration {
	each := span.Milliseconds() / int64(max(points, 1))
	for _, n := range nice {
		if each < n.below {
			return max(time.Duration(n.size)*time.Millisecond, least)
		}
	}
	return least
}

// interval reads a panel's smallest interval as Grafana writes it: 10m, >1h, 30s, 1d; 0 for none.
func interval(text string) time.Duration {
	text = strings.TrimPrefix(text, ">")
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, _ := strconv.Atoi(days)
		return time.Duration(n) * 24 * time.Hour
	}
	d, _ := time.ParseDuration(text)
	return d
}
