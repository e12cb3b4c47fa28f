package sim

import (
	"fmt"
	"slices"
)

// Limits of a group, as usher's clients set them.
const (
	sessionMS   = 10_000
	rebalanceMS = 20_000
)

// offset is a committed offset with its metadata.
type offset struct {
	at   int64
	meta string
}

// identity is what a member shows with every request.
type identity struct {
	id         string
	instance   string
	generation int
}

// group is the model of the group coordinator: classic protocol, cooperative rebalances.
type group struct {
	b          *broker
	name       string
	partitions int32
	generation int
	preparing  bool
	deadline   int64
	members    []*groupMember
	named      int // member ids given out
	target     map[int32]string
	shuffle    bool // the next rebalance moves partitions about
	offsets    map[int32]offset
	pending    map[int32]map[int64]offset // of open transactions, by producer
	owner      map[int32]string           // of the latest generation, to count moves
}

type groupMember struct {
	identity
	assigned []int32
	claimed  []int32 // what it owned when it joined
	joined   bool
	lastBeat int64
}

func (b *broker) newGroup(name string, partitions int32) *group {
	g := &group{
		b: b, name: name, partitions: partitions, offsets: map[int32]offset{},
		pending: map[int32]map[int64]offset{}, target: map[int32]string{}, owner: map[int32]string{},
	}
	b.groups[name] = g
	b.w.after(500, g.tick)
	return g
}

// tick expires sessions and rebalances that take too long.
func (g *group) tick() {
	now := g.b.w.nowMS
	before := len(g.members)
	g.members = slices.DeleteFunc(g.members, func(m *groupMember) bool {
		out := !m.joined && now-m.lastBeat > sessionMS
		if out {
			g.b.w.trace("%s: session of %s expired", g.name, m.id)
		}
		return out
	})
	if len(g.members) < before {
		g.prepare()
	}
	if g.preparing && now >= g.deadline {
		g.members = slices.DeleteFunc(g.members, func(m *groupMember) bool { return !m.joined })
		g.complete()
	} else if g.preparing {
		g.completeIfAll()
	}
	g.b.w.after(500, g.tick)
}

func (g *group) member(id string) *groupMember {
	for _, m := range g.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (g *group) prepare() {
	if g.preparing {
		return
	}
	g.preparing, g.deadline = true, g.b.w.nowMS+rebalanceMS
	for _, m := range g.members {
		m.joined = false
	}
}

// join takes a member into the next generation; sync tells when it has begun.
func (g *group) join(as identity, owned []int32) (identity, error) {
	m := g.member(as.id)
	switch {
	case as.id != "" && m == nil:
		return as, errUnknownMember
	case m == nil:
		return g.enter(as), nil
	}
	g.prepare()
	m.joined, m.claimed, m.lastBeat = true, owned, g.b.w.nowMS
	g.completeIfAll()
	return m.identity, nil
}

// enter takes a new member in. One with a known instance id takes over the seat of its former self,
// which is fenced by that; the group does not rebalance.
func (g *group) enter(as identity) identity {
	g.named++
	id := fmt.Sprintf("%s-%d", as.instance, g.named)
	for _, m := range g.members {
		if as.instance != "" && m.instance == as.instance {
			m.id, m.lastBeat = id, g.b.w.nowMS
			for p, t := range g.target {
				if t == as.id || g.member(t) == nil && slices.Contains(m.assigned, p) {
					g.target[p] = id
				}
			}
			if g.preparing {
				m.joined, m.claimed = true, nil
				g.completeIfAll()
			}
			return m.identity
		}
	}
	g.prepare()
	m := &groupMember{identity: as, joined: true, lastBeat: g.b.w.nowMS}
	m.id = id
	g.members = append(g.members, m)
	g.completeIfAll()
	return m.identity
}

func (g *group) completeIfAll() {
	for _, m := range g.members {
		if !m.joined {
			return
		}
	}
	g.complete()
}

// complete begins a generation. A partition that is to move is first taken from its owner; the
// generation after that gives it to the next.
func (g *group) complete() {
	g.generation++
	g.preparing = false
	g.retarget()
	held := map[int32]string{}
	for _, m := range g.members {
		for _, p := range m.claimed {
			held[p] = m.id
		}
		m.assigned, m.lastBeat = nil, g.b.w.nowMS
		m.joined = false
		m.generation = g.generation
	}
	for p := range g.partitions {
		to := g.target[p]
		if from, ok := held[p]; ok && from != to {
			continue
		}
		if m := g.member(to); m != nil {
			m.assigned = append(m.assigned, p)
			if g.owner[p] != "" && g.owner[p] != to {
				g.b.w.counts.Moves++
			}
			g.owner[p] = to
		}
	}
	g.b.w.counts.Rebalances++
	g.b.w.trace("%s: generation %d, target %v", g.name, g.generation, g.target)
}

// retarget decides who shall own what: as before as long as the members are the same.
func (g *group) retarget() {
	same := !g.shuffle && len(g.members) > 0
	seen := map[string]bool{}
	for p := range g.partitions {
		same = same && g.member(g.target[p]) != nil
		seen[g.target[p]] = true
	}
	for i, m := range g.members {
		same = same && (seen[m.id] || i >= int(g.partitions))
	}
	if same {
		return
	}
	g.shuffle = false
	clear(g.target)
	if len(g.members) == 0 {
		return
	}
	order := g.b.w.r.Perm(len(g.members))
	for p := range g.partitions {
		g.target[p] = g.members[order[int(p)%len(order)]].id
	}
}

// sync tells a member its assignment once the generation it joined has begun.
func (g *group) sync(id string) (assignment, error) {
	m := g.member(id)
	switch {
	case m == nil:
		return assignment{}, errUnknownMember
	case g.preparing && m.joined:
		return assignment{}, errNotYet
	case g.preparing:
		return assignment{}, errRebalance
	}
	m.lastBeat = g.b.w.nowMS
	m.generation = g.generation
	return assignment{g.generation, slices.Clone(m.assigned)}, nil
}

type assignment struct {
	generation int
	partitions []int32
}

// check is what every commit is held to: member and generation, never ownership.
func (g *group) check(as identity) error {
	m := g.member(as.id)
	switch {
	case m == nil && as.instance != "" && g.instance(as.instance):
		return errFencedInstance
	case m == nil:
		return errUnknownMember
	case as.generation != g.generation:
		return errIllegalGeneration
	}
	return nil
}

func (g *group) instance(name string) bool {
	return slices.ContainsFunc(g.members, func(m *groupMember) bool { return m.instance == name })
}

func (g *group) heartbeat(as identity) error {
	if err := g.check(as); err != nil {
		return err
	}
	g.member(as.id).lastBeat = g.b.w.nowMS
	if g.preparing {
		return errRebalance
	}
	return nil
}

// commit is OffsetCommit.
func (g *group) commit(as identity, p int32, o offset, unfenced bool) error {
	if err := g.check(as); err != nil && !unfenced {
		g.b.w.counts.FencedCommits++
		return err
	}
	g.offsets[p] = o
	return nil
}

// fetch is OffsetFetch; stable refuses while a transaction may still change the answer.
func (g *group) fetch(p int32, stable bool) (offset, error) {
	if stable && len(g.pending[p]) > 0 {
		return offset{}, errUnstable
	}
	if o, ok := g.offsets[p]; ok {
		return o, nil
	}
	return offset{at: -1}, nil
}

// settle ends the pending offsets of a transaction.
func (g *group) settle(pid int64, f fate) {
	for p := range g.partitions {
		if o, ok := g.pending[p][pid]; ok {
			delete(g.pending[p], pid)
			if f == committed {
				g.offsets[p] = o
			}
		}
	}
}
