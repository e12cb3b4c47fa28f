// Package classifier scores a message with a compiled linear model: int8 weights found through a
// fingerprint table in one versioned, checksummed, memory-mapped file. It never trains; package
// train makes the files.
package classifier

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"usher/features"
)

// The layout of a model file, little-endian:
//
//	0   magic, 8 bytes
//	8   format version, uint32
//	12  length of the meta data, uint32
//	16  meta data, JSON (Meta), padded with spaces to a multiple of 64 bytes from the start
//	    table: Slots × uint64, low half row number + 1 (0: empty), high half fingerprint
//	    rows: Rows × Stride × int8
//	    SHA-256 of everything before, 32 bytes
const (
	magic         = "USHERMDL"
	formatVersion = 1
	prefixBytes   = 16
	alignBytes    = 64
	slotBytes     = 8
	sumBytes      = sha256.Size

	maxMetaBytes = 16 << 20
	maxRows      = 1 << 28
	maxColumns   = 1 << 16
)

// Head kinds.
const (
	Softmax  = "softmax"    // the labels exclude each other: probabilities sum to 1
	OneVsAll = "one_vs_all" // each label on its own, as for knowledge-base articles
)

// Other is the label of messages that belong to no other: nothing is done about it alone.
const Other = "other"

// Meta is what a model file says about itself.
type Meta struct {
	Name     string          `json:"name"`
	Version  string          `json:"version"`
	Features features.Config `json:"features"`
	Rows     int             `json:"rows"`
	Slots    int             `json:"slots"`  // of the table, a power of two
	Stride   int             `json:"stride"` // columns per row, padded
	Heads    []HeadMeta      `json:"heads"`
	Card     json.RawMessage `json:"card,omitempty"` // for people; nothing is computed from it
}

// HeadMeta describes one head; its labels are the columns From to From+len(Labels) of a row.
type HeadMeta struct {
	Name         string     `json:"name"`
	Kind         string     `json:"kind"`
	Labels       []string   `json:"labels"`
	From         int        `json:"from"`
	Scale        float64    `json:"scale"` // weight of one int8 step
	Bias         []float64  `json:"bias"`  // per label
	Temperature  float64    `json:"temperature"`
	KnownTypical float64    `json:"known_typical"` // median known share of the held-out messages
	Thresholds   Thresholds `json:"thresholds"`
	Quality      Quality    `json:"quality"`
}

// Cutoff is what a threshold entry says; nil means "as the next wider entry".
type Cutoff struct {
	AutoAt    *float64 `json:"auto_at,omitempty"`
	SuggestAt *float64 `json:"suggest_at,omitempty"`
	MinMargin *float64 `json:"min_margin,omitempty"`
	MinScope  *float64 `json:"min_scope,omitempty"`
}

// Thresholds are the cut-offs that the model brings along; configuration goes over them.
type Thresholds struct {
	Cutoff
	Labels map[string]Cutoff     `json:"labels,omitempty"`
	Langs  map[string]LangCutoff `json:"langs,omitempty"`
}

// LangCutoff is the say about one language.
type LangCutoff struct {
	Cutoff
	Labels map[string]Cutoff `json:"labels,omitempty"`
}

// Quality is what was measured on messages that the weights never saw.
type Quality struct {
	On            string  `json:"on"` // which messages
	N             int     `json:"n"`
	Accuracy      float64 `json:"accuracy"`
	MacroF1       float64 `json:"macro_f1"`
	ECE           float64 `json:"ece"`
	AutoCoverage  float64 `json:"auto_coverage"`
	AutoPrecision float64 `json:"auto_precision"`
}

// Encode writes a model file: weights are row-major, Rows × Stride, and keys[i] is the feature of
// row i. It fills Rows and Slots of meta and returns the file's bytes, the same for the same input.
func Encode(meta Meta, keys []uint64, weights []int8) ([]byte, error) {
	meta.Rows = len(keys)
	meta.Slots = tableSlots(len(keys))
	if err := meta.validate(); err != nil {
		return nil, fmt.Errorf("cannot write model %q: %w", meta.Name, err)
	}
	if len(weights) != meta.Rows*meta.Stride {
		panic("BUG: weights and rows differ in number")
	}
	table := make([]uint64, meta.Slots)
	for row, key := range keys {
		at := int(key) & (meta.Slots - 1)
		for table[at] != 0 {
			at = (at + 1) & (meta.Slots - 1)
		}
		table[at] = key>>32<<32 | uint64(row+1)
	}
	body := make([]byte, 0, meta.bodyBytes())
	for _, slot := range table {
		body = binary.LittleEndian.AppendUint64(body, slot)
	}
	for _, w := range weights {
		body = append(body, byte(w))
	}
	return assemble(meta, body)
}

// assemble puts prefix, meta data, body and checksum together.
func assemble(meta Meta, body []byte) ([]byte, error) {
	head, err := json.Marshal(meta)
	if err != nil {
		return nil, fmt.Errorf("cannot write model %q: %w", meta.Name, err)
	}
	for (prefixBytes+len(head))%alignBytes != 0 {
		head = append(head, ' ')
	}
	out := make([]byte, 0, prefixBytes+len(head)+len(body)+sumBytes)
	out = append(out, magic...)
	out = binary.LittleEndian.AppendUint32(out, formatVersion)
	out = binary.LittleEndian.AppendUint32(out, uint32(len(head)))
	out = append(out, head...)
	out = append(out, body...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...), nil
}

// Recard gives the same model with another card (which changes its checksum, not its scores).
func Recard(file []byte, card json.RawMessage) ([]byte, error) {
	m, err := FromBytes(file)
	if err != nil {
		return nil, err
	}
	meta := m.meta
	meta.Card = card
	return assemble(meta, m.body)
}

// tableSlots keeps the table at most 80 % full: probes stay short and misses end soon.
func tableSlots(rows int) int {
	size := 16
	for size*4 < rows*5 {
		size *= 2
	}
	return size
}

func (m *Meta) bodyBytes() int { return m.Slots*slotBytes + m.Rows*m.Stride }

// validate checks everything that scoring relies on, so that Score needs no checks.
func (m *Meta) validate() error {
	if err := m.Features.Validate(); err != nil {
		return err
	}
	if m.Name == "" || m.Version == "" {
		return fmt.Errorf("name or version is missing")
	}
	if m.Rows < 0 || m.Rows > maxRows || m.Slots < 1 || m.Slots > 2*maxRows ||
		m.Slots&(m.Slots-1) != 0 || m.Slots <= m.Rows {
		return fmt.Errorf("%d rows in a table of %d slots; the slots must be a power of two above the "+
			"rows", m.Rows, m.Slots)
	}
	if m.Stride < 1 || m.Stride > maxColumns || len(m.Heads) == 0 {
		return fmt.Errorf("stride %d with %d heads; both must be at least 1", m.Stride, len(m.Heads))
	}
	names := map[string]bool{}
	next := 0
	for i := range m.Heads {
		h := &m.Heads[i]
		if h.Name == "" || names[h.Name] {
			return fmt.Errorf("head %d is named %q; every head needs a name of its own", i+1, h.Name)
		}
		names[h.Name] = true
		if h.From != next || h.From+len(h.Labels) > m.Stride {
			return fmt.Errorf("head %s takes columns %d to %d of %d, expected from %d on",
				h.Name, h.From, h.From+len(h.Labels), m.Stride, next)
		}
		next = h.From + len(h.Labels)
		if err := h.validate(); err != nil {
			return fmt.Errorf("head %s: %w", h.Name, err)
		}
	}
	return nil
}

func (h *HeadMeta) validate() error {
	switch {
	case h.Kind != Softmax && h.Kind != OneVsAll:
		return fmt.Errorf("kind is %q; this version knows %s and %s", h.Kind, Softmax, OneVsAll)
	case len(h.Labels) == 0 || len(h.Bias) != len(h.Labels):
		return fmt.Errorf("%d labels with %d biases; give one bias per label", len(h.Labels), len(h.Bias))
	case !within(h.Scale, minFactor, maxFactor) || !within(h.Temperature, minFactor, maxFactor) ||
		!within(h.KnownTypical, 0, 1):
		return fmt.Errorf("scale %v, temperature %v, known_typical %v; the first two must be from %v to "+
			"%v, the last from 0 to 1", h.Scale, h.Temperature, h.KnownTypical, minFactor, maxFactor)
	}
	seen := map[string]bool{}
	for i, l := range h.Labels {
		if l == "" || seen[l] {
			return fmt.Errorf("label %d is %q; every label needs a name of its own", i+1, l)
		}
		if !within(h.Bias[i], -maxFactor, maxFactor) {
			return fmt.Errorf("the bias of label %d is %v; it must be from %v to %v", i+1, h.Bias[i],
				-maxFactor, maxFactor)
		}
		seen[l] = true
	}
	return nil
}

// Scale, temperature and bias beyond these could make a logit infinite, and a probability no number.
const minFactor, maxFactor = 1e-9, 1e9

func within(x, low, high float64) bool { return x >= low && x <= high }

// parse reads and checks a whole file.
func parse(file []byte) (*Model, error) {
	if len(file) < prefixBytes+sumBytes || string(file[:len(magic)]) != magic {
		return nil, fmt.Errorf("this is no usher model (it does not begin with %s); "+
			"make one with usher train", magic)
	}
	if v := binary.LittleEndian.Uint32(file[8:]); v != formatVersion {
		return nil, fmt.Errorf("its format is version %d and this usher reads version %d; "+
			"train it again or use another usher", v, formatVersion)
	}
	body, stored := file[:len(file)-sumBytes], file[len(file)-sumBytes:]
	sum := sha256.Sum256(body)
	if !bytes.Equal(sum[:], stored) {
		return nil, fmt.Errorf("its checksum does not match: %d bytes that are damaged or cut short; "+
			"copy the file again", len(file))
	}
	size := int(binary.LittleEndian.Uint32(file[12:]))
	if size > maxMetaBytes || prefixBytes+size > len(body) {
		return nil, fmt.Errorf("its meta data claims %d bytes of a file of %d", size, len(file))
	}
	m := &Model{checksum: hex.EncodeToString(sum[:])}
	if err := json.Unmarshal(body[prefixBytes:prefixBytes+size], &m.meta); err != nil {
		return nil, fmt.Errorf("its meta data is not readable: %w", err)
	}
	if err := m.meta.validate(); err != nil {
		return nil, err
	}
	rest := body[prefixBytes+size:]
	if len(rest) != m.meta.bodyBytes() {
		return nil, fmt.Errorf("it holds %d bytes of weights where its meta data says %d",
			len(rest), m.meta.bodyBytes())
	}
	m.body = rest
	m.table, m.rows = rest[:m.meta.Slots*slotBytes], rest[m.meta.Slots*slotBytes:]
	return m, m.checkTable()
}

// checkTable proves that every row number is inside the rows and that a probe ends.
func (m *Model) checkTable() error {
	empty := 0
	for at := 0; at < len(m.table); at += slotBytes {
		row := binary.LittleEndian.Uint32(m.table[at:])
		if row == 0 {
			empty++
		}
		if int(row) > m.meta.Rows {
			return fmt.Errorf("its table points at row %d of %d", row, m.meta.Rows)
		}
	}
	if empty == 0 {
		return fmt.Errorf("its table has no empty slot")
	}
	return nil
}
