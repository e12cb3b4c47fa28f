package train

import (
	"fmt"

	"github.com/cespare/xxhash/v2"

	"usher/features"
	"usher/features/classifier/corpus"
)

// parts are the rows by what they are for.
type parts struct {
	fit, calibrate, holdout []corpus.Row
	labels                  []string // of fit, sorted
	kind                    string   // of the head
}

// The sides that a text can lie on; the lower number keeps a text that is on both.
const (
	elsewhere = iota // another split: the text must not be learned
	holdout
	calibrate
	learn
)

// divide deals the rows by a hash of their group (or of their text): the same rows always fall the
// same way, and variants of one sentence stay together. A text that would lie on two sides stays
// only on the one that measures, or quality would be flattered.
func divide(cfg *Config, rows []corpus.Row, report *Report) (*parts, error) {
	x, err := features.New(cfg.Features)
	if err != nil {
		return nil, err
	}
	side := make([]int, len(rows))
	first := map[string]int{} // canonical text → lowest side
	canon := make([]string, len(rows))
	for i := range rows {
		canon[i] = string(x.Canonical([]byte(rows[i].Text)))
		side[i] = cfg.side(&rows[i], canon[i])
		if s, ok := first[canon[i]]; !ok || side[i] < s {
			first[canon[i]] = side[i]
		}
	}
	p := &parts{}
	for i := range rows {
		switch {
		case side[i] == elsewhere:
			report.OtherSplit++
		case canon[i] == "":
			report.Blank++
		case first[canon[i]] != side[i]:
			report.BothSides++
		case side[i] == holdout:
			p.holdout = append(p.holdout, rows[i])
		case side[i] == calibrate:
			p.calibrate = append(p.calibrate, rows[i])
		default:
			p.fit = append(p.fit, rows[i])
		}
	}
	report.Used, report.Calibrated, report.HeldOut = len(p.fit), len(p.calibrate), len(p.holdout)
	if len(p.fit) == 0 {
		return nil, fmt.Errorf("cannot train: none of %d rows is left to train on (%d in another split, "+
			"%d blank, %d held out or for calibration); check --split and the files", len(rows),
			report.OtherSplit, report.Blank, report.HeldOut+report.Calibrated)
	}
	return p, nil
}

func (c *Config) side(row *corpus.Row, canon string) int {
	if c.Split != "" && row.Split != c.Split {
		return elsewhere
	}
	group := "g" + row.Lang + "\x00" + row.Group
	if row.Group == "" {
		group = "t" + canon
	}
	d := xxhash.NewWithSeed(c.Seed)
	_, _ = d.WriteString(group)              // never fails
	at := float64(d.Sum64()>>11) / (1 << 53) // 53 random bits make an even number in [0, 1)
	switch {
	case at < c.Holdout:
		return holdout
	case at < c.Holdout+c.Calibrate:
		return calibrate
	}
	return learn
}
