package deliver

import (
	"errors"
	"fmt"
	"strconv"

	"usher/sinks/clickhouse/schema"
)

// LeaseMS is the L of the protocol: an insert is refused by the server after t0 + LeaseMS, and
// abandoned by the sink after t0 + LeaseMS/2.
const LeaseMS = 60_000

// clockErrorMS is how far a sink may be wrong about ClickHouse's time; beyond it the sink refuses.
const clockErrorMS = 5_000

// ErrAlarm is the cause of every stop of a partition: going on could lose or double rows, so a
// person must look.
var ErrAlarm = errors.New("the partition stops")

// ActionKind says what the driver must do next.
type ActionKind uint8

// The actions, each answered by the method in brackets.
const (
	// ActWait: nothing to do before more records come or the flush interval is over.
	ActWait ActionKind = iota
	// ActFetch: read the committed offset and its metadata [Fetched].
	ActFetch
	// ActCommit: commit Offset with Meta, fenced by the attempt's generation [Committed].
	ActCommit
	// ActReadBack: count the rows of Intent's range in each of its tables [ReadBack].
	ActReadBack
	// ActInsert: insert the block of Table [Inserted].
	ActInsert
	// ActStop: Err says why the partition stops for good.
	ActStop
)

// Action is one thing for the driver to do.
type Action struct {
	Kind ActionKind
	// TopicID, Offset, Epoch and Meta are what ActCommit commits.
	TopicID schema.UUID
	Offset  int64
	Epoch   int32
	Meta    string
	Intent  *Intent
	Table   *schema.Table
	// Records hold the blocks of the range, for ActInsert.
	Records []Record
	// LeaseUntilMS and DeadlineMS are instants by ClickHouse's clock.
	LeaseUntilMS, DeadlineMS int64
	Err                      error
}

// Token is the deduplication token of an ActInsert on a partition.
func (a *Action) Token(partition int32) string {
	token := a.Intent.Token(partition, a.Table.Name)
	if a.Intent.Again > 0 {
		token += "-" + strconv.Itoa(a.Intent.Again)
	}
	return token
}

// Fetched is the answer to ActFetch.
type Fetched struct {
	TopicID  schema.UUID
	Offset   int64 // −1 when nothing was committed yet
	Meta     string
	LogStart int64
}

// Stored is how many rows of a range a table holds.
type Stored struct{ Rows, Distinct uint64 }

type phase uint8

const (
	phaseStart     phase = iota // the committed offset is not known for sure
	phaseIdle                   // known, and no range begun
	phaseResume                 // known, with an intent of an earlier attempt
	phaseIntent                 // the commit of the intent is on its way
	phaseLook                   // the range must be read back
	phaseInsert                 // blocks are missing
	phaseSwallowed              // blocks were acknowledged and are missing
	phaseDone                   // the commit of the range's end is on its way
	phaseSkip                   // the same for a range without rows
	phaseStopped
)

// Machine is the protocol for one partition while it is assigned to this sink. It is not safe for
// concurrent use. Next says what to do; the matching method takes the outcome.
type Machine struct {
	topicID   schema.UUID
	partition int32
	limits    Limits
	base      int64 // where this assignment began to consume: nothing before it is in memory

	phase     phase
	committed int64
	run       []Record // consumed, at or after committed
	intent    Intent
	announced Intent // the last whose commit was asked for
	size      int    // records of run that intent covers
	fresh     bool
	t0        int64
	left      []*schema.Table
	sent      bool    // all that was absent has been inserted; the range is looked at once more
	next      *Intent // was committed together with the end of intent
	nextSize  int
	nextT0    int64
	err       error
	weak      Weakness
	second    bool // of WeakSubset: the first half was sent
}

// NewMachine makes the machine of a partition whose consumption begins at offset base.
func NewMachine(topicID schema.UUID, partition int32, base int64, limits Limits) *Machine {
	return &Machine{topicID: topicID, partition: partition, base: base, limits: limits}
}

// Add hands over the next consumed record.
func (m *Machine) Add(r Record) {
	if m.phase != phaseStart && r.Offset < m.committed {
		return
	}
	m.run = append(m.run, r)
}

// Committed offset as far as it is known: everything before it is stored.
func (m *Machine) CommittedOffset() int64 { return m.committed }

// Idle reports that no range is under way and nothing waits.
func (m *Machine) Idle() bool { return m.phase == phaseIdle && len(m.run) == 0 }

// Between reports that nothing is under way, so that the partition may be given up without doubt.
func (m *Machine) Between() bool {
	switch m.phase {
	case phaseIdle, phaseStart, phaseStopped, phaseSwallowed:
		return true
	}
	return false
}

// Next says what to do now. nowMS is ClickHouse's time; flush closes a range that is not full.
func (m *Machine) Next(nowMS int64, flush bool) Action {
	switch m.phase {
	case phaseStart:
		return Action{Kind: ActFetch}
	case phaseIdle:
		return m.begin(nowMS, flush)
	case phaseResume:
		return m.resume(nowMS)
	case phaseLook:
		return Action{Kind: ActReadBack, Intent: m.present()}
	case phaseInsert:
		return m.insert(nowMS)
	case phaseSwallowed:
		return m.renew(nowMS)
	case phaseStopped:
		return Action{Kind: ActStop, Err: m.err}
	}
	return Action{Kind: ActWait} // a commit is on its way
}

// begin opens a range if one is due.
func (m *Machine) begin(nowMS int64, flush bool) Action {
	n, closed := Cut(m.run, m.limits)
	if n == 0 || !closed && !flush {
		return Action{Kind: ActWait}
	}
	if m.announced.To > m.announced.From && m.announced.From == m.committed {
		// The commit of this intent is in doubt: it may yet arrive. Cut the same range, so that
		// whichever of the two commits is last says the same.
		n = covered(m.run, m.announced.To)
	}
	in, err := intentOf(m.topicID, m.committed, m.run[:n])
	if err != nil {
		return m.stop(err)
	}
	m.intent, m.size = in, n
	m.keepAgain()
	if len(in.Shares) == 0 {
		m.phase = phaseSkip
		return m.commit(in.To, "")
	}
	m.fresh = m.intent.Again == 0
	if m.weak&WeakNoIntent != 0 {
		m.t0 = nowMS
		m.missing(nil)
		return m.insert(nowMS)
	}
	return m.announce(nowMS)
}

// resume takes up the range of an earlier attempt as soon as its records have been consumed again.
func (m *Machine) resume(nowMS int64) Action {
	n := covered(m.run, m.intent.To)
	if n == 0 || m.run[n-1].Offset != m.intent.To-1 {
		if n < len(m.run) {
			return m.stop(fmt.Errorf("cannot repeat the range %d-%d of the rows topic: its last record "+
				"is gone; was the topic trimmed or written anew?", m.intent.From, m.intent.To))
		}
		return Action{Kind: ActWait}
	}
	in, err := intentOf(m.topicID, m.intent.From, m.run[:n])
	if err != nil {
		return m.stop(err)
	}
	if !in.equal(&m.intent) {
		return m.stop(fmt.Errorf("cannot repeat the range %d-%d of the rows topic: its records are "+
			"not those that its intent names", m.intent.From, m.intent.To))
	}
	m.size, m.fresh = n, false
	m.keepAgain()
	return m.announce(nowMS)
}

// keepAgain: a commit in doubt that named another token may yet arrive.
func (m *Machine) keepAgain() {
	if m.announced.From == m.intent.From && m.announced.To == m.intent.To {
		m.intent.Again = max(m.intent.Again, m.announced.Again)
	}
}

// renew announces another token for a range whose rows the engine has acknowledged without keeping
// them. Inserts of earlier attempts may still be on their way under the token of before, and nothing
// but the token keeps two of them from both being stored. So the other one is used only when their
// leases are over, and named by the intent: whoever comes next must not go back to the first, which
// the engine may have forgotten by then.
func (m *Machine) renew(nowMS int64) Action {
	if nowMS < m.t0+LeaseMS+clockErrorMS {
		return Action{Kind: ActWait}
	}
	if m.intent.Again == swallowedMax {
		return m.stop(fmt.Errorf("cannot store the range %d-%d: the engine acknowledged the rows of %s "+
			"%d times and holds none; run `usher audit`", m.intent.From, m.intent.To,
			m.left[0].Name, swallowedMax+1))
	}
	m.intent.Again++
	return m.announce(nowMS)
}

// covered is the number of records before offset to.
func covered(run []Record, to int64) int {
	n := 0
	for n < len(run) && run[n].Offset < to {
		n++
	}
	return n
}

// announce commits the intent. Time is taken before the commit: whoever is refused there has not
// begun, and whoever is not has all of its lease before it.
func (m *Machine) announce(nowMS int64) Action {
	meta, err := m.intent.Encode()
	if err != nil {
		return m.stop(err)
	}
	m.t0, m.phase, m.announced, m.sent = nowMS, phaseIntent, m.intent, false
	if m.weak&WeakOffsetFirst != 0 {
		return m.commit(m.intent.To, "")
	}
	return m.commit(m.intent.From, meta)
}

// present is the range under way, as it is now: an action keeps its own, however late it is read.
func (m *Machine) present() *Intent {
	in := m.intent
	return &in
}

// commit asks for a commit of the present range's beginning or end.
func (m *Machine) commit(offset int64, meta string) Action {
	return Action{
		Kind: ActCommit, TopicID: m.topicID, Offset: offset, Epoch: m.intent.Epoch, Meta: meta,
	}
}

// insert sends the next absent block, or ends the range.
func (m *Machine) insert(nowMS int64) Action {
	if len(m.left) == 0 {
		return m.finish(nowMS)
	}
	if m.weak&WeakBlindResend != 0 {
		m.t0 = nowMS
	}
	if nowMS >= m.t0+LeaseMS/2 {
		m.restart()
		return Action{Kind: ActFetch}
	}
	return Action{
		Kind: ActInsert, Intent: m.present(), Table: m.left[0], Records: m.subset(),
		LeaseUntilMS: m.t0 + LeaseMS, DeadlineMS: m.t0 + LeaseMS/2,
	}
}

// subset are the records of the block to insert: all of the range.
func (m *Machine) subset() []Record {
	switch {
	case m.weak&WeakSubset == 0 || m.fresh || m.left[0].Writer != schema.ByRows:
		return m.run[:m.size]
	case m.second:
		return m.run[m.size/2 : m.size]
	}
	return m.run[:m.size/2]
}

// finish commits the end of the range, and with it the next intent when that range is closed.
func (m *Machine) finish(nowMS int64) Action {
	a := m.commit(m.intent.To, "")
	m.next = nil
	rest := m.run[m.size:]
	if n, closed := Cut(rest, m.limits); closed && m.weak&(WeakNoIntent|WeakOffsetFirst) == 0 {
		in, err := intentOf(m.topicID, m.intent.To, rest[:n])
		if err == nil && len(in.Shares) > 0 {
			if meta, err := in.Encode(); err == nil { // else begin meets the same error and stops
				m.next, m.nextSize, m.nextT0, a.Meta = &in, n, nowMS, meta
				m.announced = in
			}
		}
	}
	m.phase = phaseDone
	return a
}

// Fetched takes the committed offset.
func (m *Machine) Fetched(f Fetched, err error) {
	if err != nil {
		return // ask again
	}
	if f.TopicID != m.topicID {
		m.stop(errors.New("cannot go on: the rows topic was deleted and made anew while rows of the " +
			"old one may be missing; restart the sink, then run `usher audit`"))
		return
	}
	offset := f.Offset
	if offset < 0 {
		offset = f.LogStart
	}
	switch {
	case offset < f.LogStart:
		m.stop(fmt.Errorf("cannot go on: the rows topic begins at offset %d but only %d is stored; "+
			"retention removed rows before they were stored; run `usher audit`", f.LogStart, offset))
		return
	case offset < m.base:
		m.stop(fmt.Errorf("cannot go on: the committed offset went back to %d while the sink consumed "+
			"from %d; restart the sink to begin there", offset, m.base))
		return
	}
	m.committed = offset
	drop := 0
	for drop < len(m.run) && m.run[drop].Offset < offset {
		drop++
	}
	m.run = m.run[drop:]
	m.phase = phaseIdle
	if f.Meta == "" {
		return
	}
	in, err := ParseIntent(f.Meta)
	switch {
	case err != nil:
		m.stop(err)
	case in.TopicID != m.topicID || in.From != offset:
		m.stop(fmt.Errorf("cannot go on: the intent at offset %d is of another topic or range; "+
			"does another program commit offsets for this group?", offset))
	default:
		m.intent, m.phase = in, phaseResume
	}
}

// Committed takes the outcome of a commit: nil only when the broker has acknowledged it.
func (m *Machine) Committed(err error) {
	if err != nil && (m.weak&WeakIntentNotAwaited == 0 || m.phase != phaseIntent) {
		m.restart()
		return
	}
	switch m.phase {
	case phaseIntent:
		if m.fresh || m.weak&WeakNoReadBack != 0 {
			m.missing(nil)
		} else {
			m.phase = phaseLook
		}
	case phaseSkip:
		m.advance()
		m.phase = phaseIdle
	case phaseDone:
		m.advance()
		m.phase = phaseIdle
		if m.next != nil {
			m.intent, m.size, m.t0, m.fresh = *m.next, m.nextSize, m.nextT0, true
			m.next, m.sent = nil, false
			m.missing(nil)
		}
	default:
		panic("BUG: a commit was acknowledged that nobody asked for")
	}
}

// advance moves past the range.
func (m *Machine) advance() {
	m.committed = m.intent.To
	n := copy(m.run, m.run[m.size:])
	clear(m.run[n:]) // the blocks' memory goes with them
	m.run = m.run[:n]
}

// ReadBack takes the number of rows that each table holds of the range.
func (m *Machine) ReadBack(have map[string]Stored, err error) {
	if err != nil {
		m.restart()
		return
	}
	m.missing(have)
}

// missing finds the blocks to insert. A block is there whole or not at all; a part of one means
// that something we rely on does not hold.
func (m *Machine) missing(have map[string]Stored) {
	m.left = m.left[:0]
	for _, t := range m.intent.Tables() {
		got, want := have[t.Name], m.intent.RowsOf(t)
		switch {
		case m.sent && t.Replacing: // stored without a token: what was acknowledged is there
		case m.weak&WeakPartialUnseen != 0 && got.Rows > 0:
		case t.Replacing || got.Rows == 0:
			m.left = append(m.left, t)
		case got.Rows != want || got.Distinct != want:
			m.stop(fmt.Errorf("cannot store the range %d-%d: %s holds %d rows of it (%d distinct) "+
				"instead of %d or none; run `usher audit`", m.intent.From, m.intent.To, t.Name,
				got.Rows, got.Distinct, want))
			return
		}
	}
	m.phase = phaseInsert
	if m.sent && len(m.left) > 0 {
		m.phase = phaseSwallowed
	}
}

// swallowedMax is how often a block may be acknowledged and absent before a person must look.
const swallowedMax = 5

// Inserted takes the outcome of an insert. After any doubt the attempt starts again: the range is
// read back before anything is sent a second time.
func (m *Machine) Inserted(err error) {
	switch {
	case err != nil && m.weak&WeakBlindResend != 0:
		return
	case err != nil:
		m.restart()
		return
	case m.weak&WeakSubset != 0 && !m.fresh && m.left[0].Writer == schema.ByRows && !m.second:
		m.second = true
		return
	}
	m.second = false
	m.left = m.left[1:]
	if len(m.left) == 0 && !m.fresh && m.weak&(WeakNoSecondLook|WeakNoReadBack) == 0 {
		// A kill of the engine in the middle of an insert can leave its token behind without its
		// rows (seen on 26.7.2): the repeat under that token is acknowledged and dropped. So a
		// range that was repeated is looked at once more, and what is absent goes in under another
		// token (renew).
		m.sent, m.phase = true, phaseLook
	}
}

// restart forgets everything but the consumed records: offset and intent are read anew.
func (m *Machine) restart() {
	if m.phase != phaseStopped {
		m.phase, m.next, m.left = phaseStart, nil, m.left[:0]
	}
}

// stop ends the partition until a person has looked.
func (m *Machine) stop(err error) Action {
	m.phase = phaseStopped
	m.err = fmt.Errorf("%w: partition %d: %w", ErrAlarm, m.partition, err)
	return Action{Kind: ActStop, Err: m.err}
}

// Starving reports that the machine repeats a range whose records have not all been consumed again:
// it needs more, however much it holds.
func (m *Machine) Starving() bool { return m.phase == phaseResume }

// Swallowed reports that rows which the engine has acknowledged are absent: the machine waits until
// nothing of them can be on its way any more.
func (m *Machine) Swallowed() bool { return m.phase == phaseSwallowed }

// Waiting reports that consumed records are not stored yet.
func (m *Machine) Waiting() bool { return len(m.run) > 0 }

// WaitingBytes is the size of the consumed records that are not stored yet.
func (m *Machine) WaitingBytes() int {
	n := 0
	for i := range m.run {
		n += max(1, len(m.run[i].Value)) // control records count too: they must be passed
	}
	return n
}
