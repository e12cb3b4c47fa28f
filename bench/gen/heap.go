package gen

// pending is an open conversation's next arrival. opened breaks ties, so that the order of the
// stream does not depend on the shape of the heap.
type pending struct {
	atMS   int64
	opened uint32
	slot   uint32
}

func (p pending) before(q pending) bool {
	return p.atMS < q.atMS || p.atMS == q.atMS && p.opened < q.opened
}

// agenda is a four-ary min-heap: half the levels of a binary one, and four children share a cache
// line. container/heap would box every entry.
type agenda []pending

func (a *agenda) push(p pending) {
	*a = append(*a, p)
	h := *a
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !p.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = p
}

// replaceTop puts p in the place of the earliest entry.
func (a agenda) replaceTop(p pending) {
	i := 0
	for {
		child := 4*i + 1
		if child >= len(a) {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, len(a)); c++ {
			if a[c].before(a[least]) {
				least = c
			}
		}
		if !a[least].before(p) {
			break
		}
		a[i] = a[least]
		i = least
	}
	a[i] = p
}

func (a *agenda) pop() {
	h := *a
	last := h[len(h)-1]
	*a = h[:len(h)-1]
	if len(*a) > 0 {
		a.replaceTop(last)
	}
}
