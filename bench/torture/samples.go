package torture

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sampleEvery is how often a soak looks at its processes and tables.
const sampleEvery = 12 * time.Second

// sample is one look at a process.
type sample struct {
	life       float64 // when this run of it started, seconds since 1970
	at         time.Time
	rss, heap  float64 // bytes; heap is what was allocated and not yet freed
	goroutines float64
}

func (s sample) age() time.Duration {
	return s.at.Sub(time.UnixMilli(int64(s.life * 1000)))
}

// partCount is the number of parts that every table has had so far: ClickHouse numbers the blocks of a
// table, and each insert makes one of them. A block that the deduplication drops is counted too.
type partCount struct {
	at    time.Time
	parts map[string]int64
}

// samples are what a soak has seen.
type samples struct {
	processes map[string][]sample
	parts     []partCount
}

// watch samples until ctx ends. A process or an engine between two runs is left out.
func (b *bed) watch(ctx context.Context) *samples {
	seen := &samples{processes: make(map[string][]sample)}
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		for _, name := range memberNames {
			if s, err := b.look(ctx, name); err == nil {
				seen.processes[name] = append(seen.processes[name], s)
			}
		}
		if p, err := b.countParts(ctx); err == nil {
			seen.parts = append(seen.parts, p)
		}
		select {
		case <-ctx.Done():
			return seen
		case <-tick.C:
		}
	}
}

// look reads a member's own metrics.
func (b *bed) look(ctx context.Context, name string) (s sample, err error) {
	ctx, cancel := context.WithTimeout(ctx, sampleEvery/2)
	defer cancel()
	url := "http://" + b.admin[name] + "/metrics"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, fmt.Errorf("cannot sample %s: %w", name, err)
	}
	defer resp.Body.Close()
	into := map[string]*float64{
		"process_start_time_seconds": &s.life, "process_resident_memory_bytes": &s.rss,
		"go_memstats_heap_alloc_bytes": &s.heap, "go_goroutines": &s.goroutines,
	}
	found := 0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if to := into[name]; to != nil {
			if *to, err = strconv.ParseFloat(value, 64); err != nil {
				return s, fmt.Errorf("cannot read the metric %s: %w", name, err)
			}
			found++
		}
	}
	if found != len(into) {
		return s, fmt.Errorf("cannot sample %s: it tells %d of %d metrics", name, found, len(into))
	}
	s.at = time.Now()
	return s, nil
}

func (b *bed) countParts(ctx context.Context) (partCount, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleEvery/2)
	defer cancel()
	p := partCount{parts: make(map[string]int64)}
	err := b.store.rows(ctx, "SELECT table, max(max_block_number) FROM system.parts WHERE database = '"+
		hurt.database+"' GROUP BY table", func(row []json.RawMessage) error {
		var table string
		var n int64
		err := scan(row, &table, &n)
		p.parts[table] = n
		return err
	})
	p.at = time.Now()
	return p, err
}

// What a soak allows. A process is warm when the conversations of its traffic have all been seen and
// its buffers have their size; the room is what the garbage collector and the partitions that come and
// go with each rebalance make of equal work.
const (
	warmAge           = 60 * time.Second
	thirdMin          = 5 // samples, or nothing can be said
	memoryShareMax    = 1.15
	memoryRoomBytes   = 12 << 20
	goroutinesRoom    = 10
	partsPerSecondMax = 2
	partsWindow       = time.Minute
)

// trend compares the beginning of a series with its end, by medians of its thirds.
type trend struct {
	what        string
	first, last float64
	samples     int
	most        float64 // that last may be
}

func (t trend) rises() bool { return t.last > t.most }

var errTooFew = errors.New("too few samples to judge")

func thirds(what string, values []float64, most func(first float64) float64) (trend, error) {
	n := len(values) / 3
	if n < thirdMin {
		return trend{}, fmt.Errorf("%s: %w: %d", what, errTooFew, len(values))
	}
	first := median(values[:n])
	return trend{what: what, first: first, last: median(values[len(values)-n:]), samples: len(values),
		most: most(first)}, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func memoryMost(first float64) float64     { return first*memoryShareMax + memoryRoomBytes }
func goroutinesMost(first float64) float64 { return first + goroutinesRoom }

// trends are those of every process over its warm samples from a moment on. Where a process was
// killed, its lives follow each other: a life that begins with more than the one before shows as
// well as one that grows.
func (s *samples) trends(from time.Time) (all []trend, err error) {
	for _, name := range memberNames {
		var rss, heap, goroutines []float64
		for _, x := range s.processes[name] {
			if x.at.After(from) && x.age() >= warmAge {
				rss, heap = append(rss, x.rss), append(heap, x.heap)
				goroutines = append(goroutines, x.goroutines)
			}
		}
		for _, series := range []struct {
			what   string
			values []float64
			most   func(float64) float64
		}{
			{"resident bytes", rss, memoryMost}, {"heap bytes", floors(heap), memoryMost},
			{"goroutines", goroutines, goroutinesMost},
		} {
			t, terr := thirds(name+" "+series.what, series.values, series.most)
			if terr != nil {
				err = errors.Join(err, terr)
				continue
			}
			all = append(all, t)
		}
	}
	return all, err
}

// floorOf is how many samples in a row stand for one: the lowest of them, which is nearest to what
// lives, as a heap rises and falls with the garbage collector's rounds.
const floorOf = 3

func floors(values []float64) (out []float64) {
	for i := range values {
		out = append(out, slices.Min(values[max(0, i-floorOf+1):i+1]))
	}
	return out
}

// partRate is how many parts a second a table got: over all, and in its busiest minute.
type partRate struct {
	table         string
	mean, busiest float64
}

func (s *samples) partRates() (all []partRate, err error) {
	n := len(s.parts)
	if n == 0 || s.parts[n-1].at.Sub(s.parts[0].at) < partsWindow {
		return nil, fmt.Errorf("parts: %w: %d", errTooFew, n)
	}
	for table := range s.parts[n-1].parts {
		r := partRate{table: table, mean: rate(s.parts[0], s.parts[n-1], table)}
		for i, from := range s.parts {
			for _, to := range s.parts[i+1:] {
				if to.at.Sub(from.at) >= partsWindow {
					r.busiest = math.Max(r.busiest, rate(from, to, table))
					break
				}
			}
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b partRate) int { return strings.Compare(a.table, b.table) })
	return all, nil
}

func rate(from, to partCount, table string) float64 {
	return float64(to.parts[table]-from.parts[table]) / to.at.Sub(from.at).Seconds()
}
