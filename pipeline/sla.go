package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"usher/features/conversation"
)

// SLATimers fires what SLA policies promised: the due times lie in the conversations.
type SLATimers struct{}

// NextMS implements Timers.
func (SLATimers) NextMS(_ int32, table *conversation.Table, firedMS int64) int64 {
	return table.NextDue(firedMS)
}

// Fire implements Timers: the rows and records go out with the transaction's other facts.
func (SLATimers) Fire(_ int32, table *conversation.Table, _, untilMS int64, _ Producer) {
	table.Fire(untilMS)
}

// Overdue lists the partitions in which something was due longer than the grace ago by the clock,
// and their next input offset: they have to be looked at, because without records no watermark
// moves. A partition that has nothing to read may be reported as CaughtUp.
func (r *Router) Overdue() map[int32]int64 {
	if r.cfg.Timers == nil || r.phase != routerIdle {
		return nil
	}
	var out map[int32]int64
	for id, part := range r.parts {
		due := r.cfg.Timers.NextMS(id, part.table, part.fired)
		if due == 0 || due > r.nowMS-timerGraceMS || due <= part.watermark {
			continue
		}
		if out == nil {
			out = make(map[int32]int64)
		}
		out[id] = part.next
	}
	return out
}

// slaRecord is a record of chat.sla.v1.
type slaRecord struct {
	V              int    `json:"v"`
	ID             string `json:"id"`
	Time           string `json:"time"`
	Tenant         string `json:"tenant"`
	ConversationID string `json:"conversation_id"`
	Cycle          uint32 `json:"cycle"`
	Turn           uint32 `json:"turn"`
	Policy         string `json:"policy"`
	Metric         string `json:"metric"`
	Status         string `json:"status"`
	TargetMS       int64  `json:"target_ms"`
	DueAt          string `json:"due_at"`
	At             string `json:"at"`
	Queue          string `json:"queue"`
	Revision       uint32 `json:"revision"`
	// Sign is −1 for what a late event took back and nothing replaces.
	Sign int8 `json:"sign"`
}

// slaEvents produces a record for every SLA event of the open transaction. What another event of the
// same promise replaces is not withdrawn by a record of its own: the higher revision counts.
func (o *output) slaEvents(part *partition, events []conversation.SLAEvent) {
	for i := range events {
		e := &events[i]
		if e.Sign < 0 && replaced(e, events[i+1:]) {
			continue
		}
		value, err := json.Marshal(slaRecordOf(part, e))
		if err != nil {
			panic("BUG: an SLA event cannot be written: " + err.Error())
		}
		o.produce(o.cfg.Topics.SLA, []byte(e.ConversationID),
			func(dst []byte) []byte { return append(dst, value...) })
	}
}

// replaced: a promise is named by what the record tells of it. A late event can give the same wait
// another cycle or turn; then nobody who reads the topic could tell that the old record is void.
func replaced(e *conversation.SLAEvent, later []conversation.SLAEvent) bool {
	for i := range later {
		l := &later[i]
		terminal := (l.Status == conversation.SLADueSoon) == (e.Status == conversation.SLADueSoon)
		if l.Sign > 0 && terminal && l.Tenant == e.Tenant && l.ConversationID == e.ConversationID &&
			l.Cycle == e.Cycle && l.Turn == e.Turn && l.Metric == e.Metric {
			return true
		}
	}
	return false
}

func slaRecordOf(part *partition, e *conversation.SLAEvent) *slaRecord {
	text := func(ms int64) string {
		return time.UnixMilli(min(ms, instantMaxMS)).UTC().Format("2006-01-02T15:04:05.000Z07:00")
	}
	name := fmt.Sprintf("%x\x00%d\x00%s\x00%s\x00%d\x00%s\x00%s\x00%d\x00%d", part.source.TopicID, part.id,
		e.Tenant, e.ConversationID, e.SinceOffset, e.Metric, e.Status, e.Revision, e.Sign)
	sum := sha256.Sum256([]byte(name))
	return &slaRecord{
		V: 1, ID: hex.EncodeToString(sum[:16]), Time: text(e.AtMS), Tenant: e.Tenant,
		ConversationID: e.ConversationID, Cycle: e.Cycle, Turn: e.Turn, Policy: e.Policy,
		Metric: e.Metric.String(), Status: e.Status.String(), TargetMS: e.TargetMS,
		DueAt: text(e.DueAtMS), At: text(e.AtMS), Queue: e.Queue, Revision: e.Revision, Sign: e.Sign,
	}
}
