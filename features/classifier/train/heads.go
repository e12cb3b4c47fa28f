package train

import (
	"fmt"
	"slices"

	"usher/features/classifier"
	"usher/features/classifier/corpus"
)

// Other is the label of messages that belong to no label: a label of its own where labels exclude
// each other, none of the labels where each is one against the rest.
const Other = classifier.Other

// Head is one set of labels to learn; several share one pass over the text and one file.
type Head struct {
	Name       string
	Kind       string // classifier.Softmax, also if empty, or classifier.OneVsAll
	Rows       []corpus.Row
	Thresholds classifier.Thresholds // that the model brings along
	// Plain, when not empty, is the label of messages that show nothing, such as neutral: the other
	// labels are signs, and one of them anywhere in a message decides. See mix.
	Plain string
}

// headRun is a head on its way into the file.
type headRun struct {
	Head
	parts  *parts
	report Report

	rank        int
	temperature float64
	typical     float64 // share of known features
	squeezed    *squeezed
}

// RunHeads trains a model with several heads. Each learns from its own rows; Config.Head and
// Config.Thresholds are not used.
func RunHeads(cfg Config, heads []Head) (*Result, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	runs, err := prepare(&cfg, heads)
	if err != nil {
		return nil, err
	}
	if cfg.Version == "" {
		cfg.Version = fingerprint(&cfg, runs)
	}
	k := &clock{}
	for _, h := range runs {
		k.total += cfg.Epochs * (len(cfg.candidates(len(h.parts.labels), len(h.parts.calibrate) > 0)) *
			cfg.members(h, false))
		if cfg.refits(h) {
			k.total += cfg.Epochs * cfg.Members
		}
	}
	if err := choose(&cfg, runs, k); err != nil {
		return nil, err
	}
	refit(&cfg, runs, k)
	cfg.progress(Progress{Stage: "compile", Total: 1})
	res := &Result{}
	if res.File, err = compile(&cfg, runs); err != nil {
		return nil, err
	}
	for _, h := range runs {
		res.Heads = append(res.Heads, HeadResult{Name: h.Name, Report: h.report, HeldOut: h.parts.holdout})
	}
	res.Report, res.HeldOut = res.Heads[0].Report, res.Heads[0].HeldOut
	cfg.progress(Progress{Stage: "compile", Done: 1, Total: 1})
	return res, nil
}

// prepare redacts and divides the rows of all heads.
func prepare(cfg *Config, heads []Head) ([]*headRun, error) {
	if len(heads) == 0 {
		return nil, fmt.Errorf("cannot train: no head; give at least one")
	}
	var runs []*headRun
	for _, head := range heads {
		if head.Kind == "" {
			head.Kind = classifier.Softmax
		}
		h := &headRun{Head: head, temperature: 1,
			report: Report{Rows: len(head.Rows), Labels: map[string]int{}}}
		h.Rows = redacted(cfg, head.Rows)
		var err error
		if h.parts, err = divide(cfg, h.Rows, &h.report); err != nil {
			return nil, err
		}
		h.parts.kind = h.Kind
		if h.parts.labels, err = h.labelsOf(h.parts.fit, &h.report); err != nil {
			return nil, err
		}
		runs = append(runs, h)
	}
	return runs, nil
}

// refits says whether a head learns from its calibration slice afterwards.
func (c *Config) refits(h *headRun) bool { return c.Refit && len(h.parts.calibrate) > 0 }

// members is how many models there are of one candidate: one when it is only to be judged.
func (c *Config) members(h *headRun, last bool) int {
	if c.refits(h) && !last {
		return 1
	}
	return c.Members
}

// jobs are the members of one candidate.
func (c *Config) jobs(h *headRun, s *set, rank int, last bool) (jobs []*job) {
	for i := range c.members(h, last) {
		jobs = append(jobs, &job{set: s, labels: len(h.parts.labels), rank: rank,
			seed: c.Seed + uint64(i)})
	}
	return jobs
}

// choose learns every candidate from the training rows, keeps for each head the one that makes its
// calibration slice likeliest, and takes temperature and typical share from that slice, after
// quantisation and with all heads in one file, because both depend on it.
func choose(cfg *Config, runs []*headRun, k *clock) error {
	type candidate struct {
		head *headRun
		set  *set
		jobs []*job
	}
	var all []candidate
	var jobs []*job
	for _, h := range runs {
		s := h.set(cfg, h.parts.fit)
		h.report.Features = len(s.keys)
		for _, rank := range cfg.candidates(len(h.parts.labels), len(h.parts.calibrate) > 0) {
			c := candidate{head: h, set: s, jobs: cfg.jobs(h, s, rank, false)}
			all = append(all, c)
			jobs = append(jobs, c.jobs...)
		}
	}
	runJobs(cfg, jobs, k)
	best := map[*headRun]float64{}
	for _, c := range all {
		w, loss := meanOf(c.jobs)
		q := squeeze(cfg, c.head, c.set.keys, w)
		surprise := 0.0
		if len(c.head.parts.calibrate) > 0 {
			m, err := c.head.alone(cfg, q)
			if err != nil {
				return err
			}
			l := collect(m, 0, c.head.parts.calibrate)
			surprise = l.surprise(l.likeliest())
		}
		if old, ok := best[c.head]; ok && old <= surprise {
			continue
		}
		best[c.head] = surprise
		c.head.squeezed, c.head.rank = q, c.jobs[0].rank
		c.head.report.Rank, c.head.report.Loss = c.head.rank, loss
	}
	return temper(cfg, runs)
}

// refit learns the chosen candidates again from all rows but the held-out ones.
func refit(cfg *Config, runs []*headRun, k *clock) {
	mine := map[*headRun][]*job{}
	var all []*job
	for _, h := range runs {
		if !cfg.refits(h) {
			continue
		}
		rows := slices.DeleteFunc(slices.Clone(h.parts.calibrate), func(r corpus.Row) bool {
			return r.Label != Other && !slices.Contains(h.parts.labels, r.Label)
		})
		h.report.Refitted = len(rows)
		s := h.set(cfg, slices.Concat(h.parts.fit, rows))
		h.report.Features = len(s.keys)
		mine[h] = cfg.jobs(h, s, h.rank, true)
		all = append(all, mine[h]...)
	}
	runJobs(cfg, all, k)
	for _, h := range runs {
		if jobs := mine[h]; jobs != nil {
			var w *weights
			w, h.report.Loss = meanOf(jobs)
			h.squeezed = squeeze(cfg, h, jobs[0].set.keys, w)
		}
	}
}

// set is what is learned from: rows, the messages mixed from them and the noisy copies. What is
// mixed of rows says nothing about how often a feature is seen.
func (h *headRun) set(cfg *Config, rows []corpus.Row) *set {
	from := len(rows)
	if h.Plain != "" {
		mixed := mix(rows, h.Plain, cfg.Seed)
		h.report.Mixed, rows = len(mixed)-len(rows), mixed
	}
	out := cfg.Noise.add(rows, cfg.Seed)
	h.report.Noisy = len(out) - len(rows)
	return newSet(cfg, h.parts, out, span{from, len(rows)})
}
