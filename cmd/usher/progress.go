package main

import (
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/schollz/progressbar/v3"
)

// progressPeriod is how often a bar is drawn at most.
const progressPeriod = 100 * time.Millisecond

// isTerminal reports whether w or r is a terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && (isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd()))
}

// progress is a bar on standard error when that is a terminal, and nothing otherwise.
type progress struct{ bar *progressbar.ProgressBar }

// newProgress begins a bar. total is in items, or in bytes; −1 when it is unknown.
func (a *app) newProgress(what string, total int64, inBytes bool) *progress {
	unit := progressbar.OptionShowIts()
	if inBytes {
		unit = progressbar.OptionShowBytes(true)
	}
	return newBar(a.streams, what, total, unit)
}

// newBar begins a bar that counts items unless the options say otherwise.
func newBar(s streams, what string, total int64, more ...progressbar.Option) *progress {
	if !isTerminal(s.err) {
		return &progress{}
	}
	o := []progressbar.Option{
		progressbar.OptionSetWriter(s.err), progressbar.OptionSetDescription(what),
		progressbar.OptionThrottle(progressPeriod), progressbar.OptionClearOnFinish(),
		progressbar.OptionSetWidth(30), progressbar.OptionShowCount(),
	}
	o = append(o, more...)
	return &progress{bar: progressbar.NewOptions64(total, o...)}
}

// add moves the bar on by n.
func (p *progress) add(n int64) {
	if p.bar != nil {
		_ = p.bar.Add64(n)
	}
}

// done removes the bar.
func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
