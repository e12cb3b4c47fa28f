package gen

import "slices"

// Reach of the faults, in events of one conversation. The window holds 16: what is displaced or
// repeated stays inside it, what is far late does not.
const (
	displacedMax = 8
	repeatedMax  = 4
	farLateBy    = 20
)

// disturb turns the true order into the order of arrival: displaced, late and repeated events and
// wrong clocks. It sorts c.steps by arrival.
func (p *planner) disturb(cfg *Config) {
	p.skew(cfg)
	steps := p.c.steps
	p.order = p.order[:0]
	moved := false
	for i := range steps {
		s := steps[i]
		last := len(steps) - 1
		switch draw := p.below(10_000); {
		case draw < cfg.Displaced && i < last:
			moved = true
			s.emitMS = steps[min(i+p.in(1, displacedMax), last)].emitMS
			s.flags |= flagDisplaced
		case draw < cfg.Displaced+cfg.FarLate*8 && i+farLateBy+4 <= last && s.kind.ordered():
			// Few conversations are long enough: eight times the rate there gives it overall.
			moved = true
			s.emitMS = steps[min(i+p.in(farLateBy+4, farLateBy+30), last)].emitMS
			s.flags |= flagFarLate
		case draw >= 10_000-cfg.Duplicates && s.kind.ordered():
			moved = true
			p.order = append(p.order, s)
			s.flags |= flagDuplicate
			s.emitMS = steps[min(i+p.in(0, repeatedMax), last)].emitMS
		}
		p.order = append(p.order, s)
	}
	if !moved {
		return
	}
	slices.SortStableFunc(p.order, compareArrival)
	p.c.steps = append(steps[:0], p.order...)
}

// compareArrival orders by arrival; what was held back comes after what arrives at that moment.
func compareArrival(x, y step) int {
	if x.emitMS != y.emitMS {
		if x.emitMS < y.emitMS {
			return -1
		}
		return 1
	}
	return int(x.flags&flagHeld) - int(y.flags&flagHeld)
}

const flagHeld = flagDuplicate | flagDisplaced | flagFarLate

// ordered reports whether the kind takes a place in usher's window, where alone duplicates and
// lateness are looked for.
func (k kind) ordered() bool {
	switch k {
	case stepRead, stepReaction, stepEdit, stepDelete, stepLabel, stepFeedback, stepUnknownType,
		stepAgentStatus, stepLink:
		return false
	}
	return true
}

// skew shifts what wrong clocks write: an agent's that is behind dates a reply before its question,
// a customer's that is ahead dates it after the answer.
func (p *planner) skew(cfg *Config) {
	for i := range p.c.steps {
		if p.below(10_000) >= cfg.Skewed {
			continue
		}
		s := &p.c.steps[i]
		shifted := s.atMS + int64(p.in(1, 120))*secondMS
		if p.chance(700) {
			shifted = s.atMS - int64(p.in(1, 120))*secondMS
		}
		if shifted < p.endMS {
			s.atMS = shifted
			s.flags |= flagSkewed
		}
	}
}
