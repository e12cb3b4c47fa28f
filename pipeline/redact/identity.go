package redact

import "bytes"

// LooksPersonal reports whether a conversation id is, or holds, a telephone number or an e-mail
// address: "37129123456", "whatsapp:+371 29123456", "37129123456@s.whatsapp.net", "anna@salon.lv".
// A wrong yes costs a readable id and nothing else; it is always the same answer for the same id.
func LooksPersonal(id []byte) bool {
	if at := bytes.IndexByte(id, '@'); at > 0 && at < len(id)-1 {
		return true
	}
	if !hasDigits(id) || isUUID(id) {
		return false
	}
	for i := 0; i < len(id); {
		if !isDigit(id[i]) {
			i++
			continue
		}
		var r run
		r.read(id, i)
		if start, next := r.phone(0); next > 0 && numberAlone(id, start, r.groups[next-1].end) {
			return true
		}
		if r.longPiece() {
			return true
		}
		i = r.groups[r.n-1].end
	}
	return false
}

// numberAlone reports whether id is just the number, or a scheme ("whatsapp:") and the number.
func numberAlone(id []byte, start, end int) bool {
	return end == len(id) && (start == 0 || id[start-1] == ':' || id[start] == '+')
}

// longPieceDigits is the length from which digits inside an id are taken for a telephone number
// with its country code; shorter pieces are mostly counters.
const longPieceDigits = 10

// longPiece reports whether a group that stands free inside the id is a number by itself.
func (r *run) longPiece() bool {
	for i := range r.groups[:r.n] {
		g := &r.groups[i]
		free := (g.start == 0 || !isAlnum(r.src[g.start-1])) &&
			(g.end == len(r.src) || !isAlnum(r.src[g.end]))
		if free && g.len() >= longPieceDigits && contiguous(r.src, g) {
			return true
		}
	}
	return false
}

// isUUID reports the form 8-4-4-4-12 of hexadecimal digits.
func isUUID(id []byte) bool {
	if len(id) != 36 {
		return false
	}
	for i, c := range id {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		if dash != (c == '-') || !dash && !isDigit(c) && c|0x20-'a' >= 6 {
			return false
		}
	}
	return true
}
