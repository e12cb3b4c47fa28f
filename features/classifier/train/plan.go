package train

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// FullRank as Config.Rank asks for free rows, without trying a product.
const FullRank = -1

// The rank of the product, the fewest labels from which it is tried, and the fewest from which it
// is taken when there is no calibration slice to try it on.
const (
	productRank      = 128
	productTryLabels = 10
	productLabels    = 30
)

// job is one learner's run.
type job struct {
	set    *set
	labels int
	rank   int // FullRank or that of the product
	seed   uint64

	weights *weights
	loss    float64
}

// candidates lists the ranks to choose from for so many labels.
func (c *Config) candidates(labels int, validated bool) []int {
	switch {
	case c.Rank != 0:
		return []int{c.Rank}
	case labels < productTryLabels:
		return []int{FullRank}
	case validated:
		return []int{FullRank, productRank}
	case labels < productLabels:
		return []int{FullRank}
	}
	return []int{productRank}
}

// run runs a job. Each runs on one, from a seed of its own, so how many cores there
// are changes nothing but the time.
func (j *job) run(cfg *Config, after func(loss float64)) {
	if j.rank == FullRank {
		l := newTrainer(cfg, j.set, j.labels, j.seed)
		j.weights, j.loss = descend(l, len(j.set.docs), cfg.Epochs, cfg.Rate, after)
		return
	}
	l := newProduct(cfg, j.set, j.labels, j.rank, j.seed)
	j.weights, j.loss = descend(l, len(j.set.docs), cfg.Epochs, cfg.ProductRate, after)
}

// clock counts the epochs of all jobs for the progress.
type clock struct {
	mu          sync.Mutex
	done, total int
}

func (k *clock) tick(cfg *Config, loss float64) {
	k.mu.Lock() // Progress is called by one at a time
	defer k.mu.Unlock()
	k.done++
	cfg.progress(Progress{Stage: "train", Done: k.done, Total: k.total, Loss: loss})
}

func runJobs(cfg *Config, jobs []*job, k *clock) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(jobs)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				jobs[i].run(cfg, func(loss float64) { k.tick(cfg, loss) })
			}
		}()
	}
	wg.Wait()
}

// meanOf is the mean of the jobs' weights, which is one linear model again; a little better than
// each, because their errors differ.
func meanOf(jobs []*job) (*weights, float64) {
	w, loss := jobs[0].weights, jobs[0].loss
	for _, j := range jobs[1:] {
		addTo(w.w, j.weights.w)
		addTo(w.bias, j.weights.bias)
		loss += j.loss
	}
	n := float32(len(jobs))
	for i := range w.w {
		w.w[i] /= n
	}
	for i := range w.bias {
		w.bias[i] /= n
	}
	return w, loss / float64(n)
}
