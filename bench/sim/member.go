package sim

import (
	"errors"
	"slices"
)

// Timing of a group's clients.
const (
	heartbeatMS = 1_000
	requestMS   = 3_000
	retryMS     = 50
)

// member is the client's side of a group: it joins, heartbeats, and tells what it gained and lost.
type member struct {
	p     *proc
	g     *group
	as    identity
	owned map[int32]bool
	round int  // loops of an earlier round end
	asked bool // for a rebalance, in this life

	gained  func(partitions []int32)
	revoked func(partitions []int32, done func()) // the member rejoins when done is called
	lost    func(partitions []int32)
	dead    func() // another process has our instance id
}

func (m *member) start() {
	m.as.id, m.as.generation = "", 0
	m.owned, m.asked = map[int32]bool{}, false
	m.join()
}

func (m *member) list() []int32 { return sorted(m.owned, m.g.partitions) }

func (m *member) join() {
	m.round++
	round := m.round
	as, owned := m.as, m.list()
	call(m.p, requestMS, func() (identity, error) { return m.g.join(as, owned) },
		func(got identity, err error) {
			switch {
			case m.round != round:
			case errors.Is(err, errTimeout):
				m.p.on(retryMS, m.join)
			case err != nil:
				m.out(err)
			default:
				m.as.id = got.id
				m.sync(round)
			}
		})
}

func (m *member) sync(round int) {
	id := m.as.id
	call(m.p, requestMS, func() (assignment, error) { return m.g.sync(id) },
		func(got assignment, err error) {
			switch {
			case m.round != round:
			case errors.Is(err, errTimeout), errors.Is(err, errNotYet):
				m.p.on(retryMS, func() {
					if m.round == round {
						m.sync(round)
					}
				})
			case errors.Is(err, errRebalance):
				m.join()
			case err != nil:
				m.out(err)
			default:
				m.assigned(round, got)
			}
		})
}

// assigned takes over a generation: what was taken away is given up, and only then does the member
// join the next, in which somebody else may get it.
func (m *member) assigned(round int, got assignment) {
	m.as.generation = got.generation
	var gone, fresh []int32
	for _, p := range m.list() {
		if !slices.Contains(got.partitions, p) {
			gone = append(gone, p)
			delete(m.owned, p)
		}
	}
	for _, p := range got.partitions {
		if !m.owned[p] {
			fresh = append(fresh, p)
			m.owned[p] = true
		}
	}
	m.p.w.trace("%s %s: generation %d, lost %v, gained %v", m.p.name, m.as.id, got.generation, gone, fresh)
	m.beat(round)
	if !m.asked {
		// A static member that comes back gets what it was last assigned, without a rebalance. A
		// partition that was on its way from its former self to another member would be nobody's.
		m.asked = true
		m.p.on(retryMS, m.renew)
	}
	if len(fresh) > 0 {
		m.gained(fresh)
	}
	if len(gone) > 0 {
		m.revoked(gone, func() {
			if m.round == round {
				m.join()
			}
		})
	}
}

func (m *member) beat(round int) {
	m.p.on(heartbeatMS, func() {
		if m.round != round {
			return
		}
		as := m.as
		call(m.p, requestMS, func() (struct{}, error) { return struct{}{}, m.g.heartbeat(as) },
			func(_ struct{}, err error) {
				switch {
				case m.round != round:
				case errors.Is(err, errRebalance):
					m.join()
				case err != nil && !errors.Is(err, errTimeout):
					m.out(err)
				default:
					m.beat(round)
				}
			})
	})
}

// out is what follows when the group has forgotten the member.
func (m *member) out(err error) {
	m.round++
	if errors.Is(err, errFencedInstance) {
		m.dead()
		return
	}
	gone := m.list()
	clear(m.owned)
	m.p.w.trace("%s %s: out of the group: %v", m.p.name, m.as.id, err)
	m.as.id, m.as.generation = "", 0
	if len(gone) > 0 {
		m.lost(gone)
	}
	m.join()
}

// renew makes the group begin another generation.
func (m *member) renew() {
	if m.as.id != "" {
		m.join()
	}
}
