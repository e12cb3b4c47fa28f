package conversation

// touchMax bounds a Touch: more than the processor keeps in flight, fewer than its cache forgets.
const touchMax = 64

// Touch loads the state of the conversations of the next events into the processor's cache, all at
// once instead of one after the other. It changes nothing; without it Arrive is right but slower on
// large tables. Keys beyond touchMax are left out. The sum it answers has no meaning.
func (t *Table) Touch(keys []Key) uint64 {
	keys = keys[:min(len(keys), touchMax)]
	var ids [touchMax]uint32
	var sum uint64
	for i := range keys {
		p := t.index.probe(keyHash(&keys[i]))
		ids[i] = p.next()
	}
	for _, id := range ids[:len(keys)] {
		if id != 0 {
			sum += uint64(t.slots.at(id).n)
		}
	}
	for _, id := range ids[:len(keys)] {
		if id == 0 {
			continue
		}
		s := t.slots.at(id)
		for i := range t.store.entries(s.class, s.entries) { // two to a cache line
			if i%2 == 0 {
				sum += t.store.entries(s.class, s.entries)[i].head
			}
		}
		if hot := t.hot.get(id); hot != nil {
			sum += uint64(hot.offset + hot.lastAt)
		} else if s.base != 0 {
			words := t.bases.words(s.base)
			for i := 0; i < len(words); i += 8 { // eight to a cache line
				sum += words[i]
			}
		}
	}
	return sum
}
