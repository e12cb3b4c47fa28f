package torture

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// exitDiffers is how bench/oracle says that a KPI is not what the contract's text makes of the log.
const exitDiffers = 3

// What bench/oracle prints when it has recounted: the facts of the views, and the sums of their daily twins.
var (
	oracleKPIs  = regexp.MustCompile(`(?m)^KPIs \d+ facts (\d+) differences (\d+)$`)
	oracleDaily = regexp.MustCompile(`(?m)^daily twins: .* differences (\d+)$`)
	errNoCount  = errors.New("it does not say how many facts differ")
)

// recountKPIs lets bench/oracle recompute the KPI views from the log. It shares no code with usher,
// being written in another language from the text of the contract.
func (b *bed) recountKPIs(l *inputLog, v *Verdict) error {
	python, err := exec.LookPath("python3")
	if err != nil {
		return fmt.Errorf("cannot recount the KPIs: %w; install Python 3", err)
	}
	file := func(name string) string { return filepath.Join(b.cfg.Dir, name) }
	if err := l.write(file("events.jsonl")); err != nil {
		return err
	}
	// extract.sh asks a data directory; here the same questions go to the store of the run.
	ask := fmt.Sprintf("#!/bin/sh\nshift 3\nexec '%s' --config '%s' sql \"$@\"\n", b.cfg.Binary,
		file(hurt.prefix+"route-a.yaml"))
	if err := os.WriteFile(file("ask"), []byte(ask), 0o755); err != nil {
		return fmt.Errorf("cannot write a script: %w", err)
	}
	settings := strings.TrimSuffix(promisedAs("%q: %s,\n"), ",\n")
	if err := os.WriteFile(file("kpis.json"), []byte("{"+settings+"}"), 0o644); err != nil {
		return fmt.Errorf("cannot write the oracle's settings: %w", err)
	}
	extract := exec.Command(filepath.Join(b.cfg.Oracle, "extract.sh"), file("ask"), b.cfg.Dir, b.cfg.Dir)
	extract.Env = append(os.Environ(), key)
	if out, err := extract.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot read the KPIs: %w: %s", err, out)
	}
	out, err := exec.Command(python, filepath.Join(b.cfg.Oracle, "oracle.py"), file("events.jsonl"),
		file("facts.jsonl"), "--config", file("kpis.json"), "--decisions", file("decisions.jsonl"),
		"--daily", file("daily.jsonl"), "--name", "kpis").CombinedOutput()
	if werr := os.WriteFile(file("kpis.txt"), out, 0o644); werr != nil {
		return werr
	}
	facts, daily := oracleKPIs.FindSubmatch(out), oracleDaily.FindSubmatch(out)
	if facts == nil || daily == nil {
		return fmt.Errorf("cannot recount the KPIs: %w: %s", errors.Join(err, errNoCount), out)
	}
	count := func(digits []byte) int {
		n, _ := strconv.Atoi(string(digits)) // digits only
		return n
	}
	v.Facts = count(facts[1])
	differ := count(facts[2]) + count(daily[1])
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == exitDiffers && differ > 0) {
		return fmt.Errorf("cannot recount the KPIs: %w", err)
	}
	v.Different += differ
	if differ > 0 {
		v.note("kpis: %d facts differ from the recount: see kpis.txt", differ)
	}
	return nil
}

// write makes a file of the events, in the order of their arrival within each partition.
func (l *inputLog) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("cannot write the events: %w", err)
	}
	w := bufio.NewWriter(f)
	for i := range l.records {
		if r := &l.records[i]; r.event != nil {
			_, _ = w.Write(r.value) // Flush returns the first error
			_ = w.WriteByte('\n')
		}
	}
	return errors.Join(w.Flush(), f.Close())
}
