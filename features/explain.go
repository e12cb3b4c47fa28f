package features

// Names says what each key of v stands for, for people. Call it right after Fill, with the same text
// and vector. It is slow: scoring never calls it.
func (x *Extractor) Names(text []byte, v *Vector) []string {
	names := make(map[uint64]string, len(v.Keys))
	name := func(key uint64, what string) {
		if _, ok := names[key]; !ok {
			names[key] = what
		}
	}
	x.normalise(text)
	prev, before := x.keys.start, "^"
	for _, t := range x.tokens {
		word := string(x.text[t.start:t.end])
		h := x.word(t.start, t.end)
		name(h, word)
		name(x.pair(prev, h), before+" "+word)
		prev, before = h, word
		if t.kind != single && x.config.CharMax > 0 {
			x.gramNames(int(t.start)-1, int(t.end)+1, name)
		}
	}
	if len(x.tokens) > 0 {
		name(x.pair(prev, x.keys.end), before+" $")
	}
	out := make([]string, len(v.Keys))
	for i, key := range v.Keys {
		var ok bool
		if out[i], ok = names[key]; !ok {
			out[i] = "(conversation)" // a slot: the only features that no text has
		}
	}
	return out
}

// gramNames names the character n-grams between two borders; _ stands for the space.
func (x *Extractor) gramNames(from, to int, name func(uint64, string)) {
	borders := []int{from}
	for at := from; at < to; {
		at = x.next(at)
		borders = append(borders, at)
	}
	for n := minCharGram; n <= maxCharGram; n++ {
		for i := 0; i+n < len(borders); i++ {
			a, b := borders[i], borders[i+n]
			gram := []byte("…" + string(x.text[a:b]) + "…")
			for j := range gram {
				if gram[j] == ' ' {
					gram[j] = '_'
				}
			}
			name(x.gram(a, b, &x.keys.gram[n-minCharGram]), string(gram))
		}
	}
}
