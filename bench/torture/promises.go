package torture

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// promise is one that an SLA policy made.
type promise struct {
	tenant, conversation string
	cycle, turn          int64
	metric               string
}

func (p promise) String() string {
	return fmt.Sprintf("conversation %s/%s cycle %d %s %d", p.tenant, p.conversation, p.cycle, p.metric, p.turn)
}

// judgePromises: every event of the traffic is long past, so every promise has ended: in one row of
// the table, and in the topic, where the highest revision counts, the same way.
func (b *bed) judgePromises(ctx context.Context, _ *inputLog, v *Verdict) error {
	rows, ends := make(map[promise][]string), make(map[promise]string)
	err := b.store.rows(ctx, "SELECT tenant, conversation_id, cycle, turn, metric, status FROM "+
		"sla_events_latest WHERE status != 'due_soon'", func(row []json.RawMessage) error {
		var p promise
		var status string
		err := scan(row, &p.tenant, &p.conversation, &p.cycle, &p.turn, &p.metric, &status)
		rows[p] = append(rows[p], status)
		return err
	})
	if err != nil {
		return err
	}
	newest := make(map[promise]int64)
	ids := make(map[string]bool)
	_, _, err = b.eachRecord(ctx, hurt.prefix+"chat.sla.v1", func(r *kgo.Record) error {
		var e struct {
			ID, Tenant, Metric, Status string
			ConversationID             string `json:"conversation_id"`
			Cycle, Turn, Revision      int64
			Sign                       int
		}
		if err := json.Unmarshal(r.Value, &e); err != nil {
			return fmt.Errorf("cannot read the SLA event at %d/%d: %w", r.Partition, r.Offset, err)
		}
		if ids[e.ID] {
			v.Duplicated++
			v.note("SLA topic: %s twice", e.ID)
		}
		ids[e.ID] = true
		p := promise{e.Tenant, e.ConversationID, e.Cycle, e.Turn, e.Metric}
		if e.Status == "due_soon" || e.Revision < newest[p] {
			return nil
		}
		newest[p] = e.Revision
		if ends[p] = e.Status; e.Sign < 0 {
			delete(ends, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	v.Promises = len(ends)
	hold(v, "SLA events", ends, rows)
	return nil
}
