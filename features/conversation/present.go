package conversation

import "unsafe"

// presents keeps the latest state of the conversations that had an event lately, so that the next
// need not fold their window anew: a direct-mapped cache, lost without harm.
type presents struct {
	ids    []uint32 // by place: the slot, 0 = none
	states []state
}

// presentsLen is the size of the cache, a power of two: 1.2 MB.
const presentsLen = 1024

func (c *presents) place(id uint32) uint32 { return id & (presentsLen - 1) }

// get is the present of a slot, nil when it is not known.
func (c *presents) get(id uint32) *state {
	if id == 0 || len(c.ids) == 0 || c.ids[c.place(id)] != id {
		return nil
	}
	return &c.states[c.place(id)]
}

func (c *presents) put(id uint32, s *state) {
	if len(c.ids) == 0 {
		c.ids, c.states = make([]uint32, presentsLen), make([]state, presentsLen)
	}
	at := c.place(id)
	c.ids[at], c.states[at] = id, *s
}

func (c *presents) bytes() int64 {
	return int64(len(c.states)) * int64(unsafe.Sizeof(state{})+unsafe.Sizeof(uint32(0)))
}

func (c *presents) forget(id uint32) {
	if len(c.ids) > 0 && c.ids[c.place(id)] == id {
		c.ids[c.place(id)] = 0
	}
}
