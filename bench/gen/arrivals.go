package gen

import "slices"

// begin is the start of a conversation, or an agent's change of presence (agent ≥ 0).
type begin struct {
	atMS    int64
	ordinal uint64
	tenant  int
	agent   int
	status  uint8
}

// arrivals spreads the conversations over the span in proportion to the tenants' demand, hour by
// hour; only one hour's list is in memory.
type arrivals struct {
	cfg      Config
	tenants  []tenant
	startMS  int64
	hours    int64
	hour     int64
	total    uint64 // sum of all weights
	passed   uint64 // weights of the hours before this one
	begun    uint64
	list     []begin
	at       int
	weights  []int
	drawings rng
}

// Presence of an agent, in the order of its names.
const (
	presenceOnline uint8 = iota
	presenceAway
	presenceOffline
)

const (
	burstPerMille = 8 // of the hours of a tenant: a newsletter, an outage
	burstFactor   = 5
	agentChats    = 14 // conversations that one person is given a day
)

func (a *arrivals) init(cfg Config, tenants []tenant) {
	a.cfg, a.tenants = cfg, tenants
	spanMS := cfg.Span.Milliseconds()
	a.startMS = cfg.EndMS - spanMS
	a.hours = (spanMS + hourMS - 1) / hourMS
	a.weights = make([]int, len(tenants))
	shares := 0
	for _, t := range tenants {
		shares += t.share
	}
	perDay := int64(cfg.Conversations) * dayMS / spanMS
	for i := range tenants {
		tenants[i].agents = int(min(max(perDay*int64(tenants[i].share)/int64(shares)/agentChats, 2), 400))
	}
	for hour := range a.hours {
		a.total += a.weigh(hour)
	}
	a.drawings = rng(mix(cfg.Seed ^ 0xa221))
}

// weigh fills weights with the demand of every tenant in the hour and returns the sum.
func (a *arrivals) weigh(hour int64) uint64 {
	sum := uint64(0)
	atMS := a.startMS + hour*hourMS
	for i := range a.tenants {
		weight := a.tenants[i].demand(atMS)
		if mix(a.cfg.Seed^uint64(hour)<<8^uint64(i))%1000 < burstPerMille {
			weight *= burstFactor
		}
		if left := a.cfg.EndMS - atMS; left < hourMS {
			weight = int(int64(weight) * left / hourMS)
		}
		a.weights[i] = weight
		sum += uint64(weight)
	}
	return sum
}

func (a *arrivals) peek() (begin, bool) {
	for a.at == len(a.list) {
		if a.hour == a.hours {
			return begin{}, false
		}
		a.fill()
	}
	return a.list[a.at], true
}

func (a *arrivals) take() { a.at++ }

// fill makes the list of the next hour. The count comes from the cumulative weight, so that all
// hours together give exactly the wanted number.
func (a *arrivals) fill() {
	a.list, a.at = a.list[:0], 0
	weight := a.weigh(a.hour)
	a.passed += weight
	upTo := uint64(a.cfg.Conversations)
	if a.hour < a.hours-1 {
		whole := float64(upTo) * (float64(a.passed) / float64(a.total))
		upTo = min(uint64(whole), upTo)
	}
	fromMS := a.startMS + a.hour*hourMS
	lengthMS := min(hourMS, a.cfg.EndMS-fromMS)
	for a.begun < upTo {
		a.list = append(a.list, begin{
			atMS: fromMS + int64(a.drawings.below(int(lengthMS))), ordinal: a.begun,
			tenant: a.drawings.pick(a.weights), agent: -1})
		a.begun++
	}
	a.roster(fromMS)
	slices.SortFunc(a.list, func(x, y begin) int {
		if x.atMS != y.atMS {
			return int(x.atMS - y.atMS)
		}
		if x.ordinal != y.ordinal {
			return int(x.ordinal) - int(y.ordinal)
		}
		return x.agent - y.agent
	})
	a.hour++
}

// roster appends the shifts that begin, pause or end in the hour.
func (a *arrivals) roster(fromMS int64) {
	for i := range a.tenants {
		t := &a.tenants[i]
		was, is, next := t.open(fromMS-hourMS), t.open(fromMS), t.open(fromMS+hourMS)
		_, hour := t.local(fromMS)
		for agent := range t.agents {
			offsetMS := int64(a.drawings.below(int(10 * minuteMS)))
			status := presenceOnline
			switch {
			case is && !was:
			case is && !next:
				status = presenceOffline
				offsetMS += 50*minuteMS - minuteMS
			case is && hour == 12+agent%3 && agent%2 == 0:
				status = presenceAway
			case is && hour == 13+agent%3 && agent%2 == 0:
			default:
				continue
			}
			if fromMS+offsetMS < a.cfg.EndMS {
				a.list = append(a.list, begin{atMS: fromMS + offsetMS, tenant: i, agent: agent,
					ordinal: 1<<40 + uint64(i)<<20 + uint64(agent), status: status})
			}
		}
	}
}
