package torture

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// windowEvents is the window of CONTRACT section 2: within it arrival does not matter.
const windowEvents = 16

// outsideWindow are types that take no place in a conversation's order.
var outsideWindow = map[string]bool{
	"read": true, "reaction": true, "edit": true, "delete": true, "label": true, "feedback": true,
}

// recount recomputes the customer's messages and the first replies of every conversation's first
// cycle. It takes part in nothing of usher's, so it leaves out what would need usher's rules for
// ties and windows, and conversations that were taken out of the KPIs.
func (b *bed) recount(ctx context.Context, l *inputLog, v *Verdict) error {
	want := make(map[string]string)
	for name, events := range conversations(l.records) {
		if text, ok := firstCycle(events); ok {
			want[events[0].Tenant+" "+l.pseudonyms[name]] = text
		}
	}
	v.Recounted = len(want)
	have := make(map[string][]string)
	err := b.store.rows(ctx, "SELECT tenant, conversation_id, messages_customer, first_reply_human_ms, "+
		"first_reply_any_ms FROM conversations_latest WHERE cycle = 1", func(row []json.RawMessage) error {
		var tenant, conv string
		var messages int64
		var human, any *int64
		if err := scan(row, &tenant, &conv, &messages, &human, &any); err != nil {
			return err
		}
		name := tenant + " " + conv
		if _, ok := want[name]; ok {
			have[name] = append(have[name], cycleText(messages, human, any))
		}
		return nil
	})
	if err != nil {
		return err
	}
	hold(v, "first cycles", want, have)
	return nil
}

// conversations are the events of each, the first copy of each only.
func conversations(records []record) map[string][]*plainEvent {
	all := make(map[string][]*plainEvent)
	seen := make(map[string]bool)
	for i := range records {
		e := records[i].event
		if e == nil || e.ConversationID == "" || outsideWindow[e.Type] {
			continue
		}
		name := e.Tenant + " " + e.ConversationID
		if id := name + "\x00" + e.ID; !seen[id] {
			seen[id] = true
			all[name] = append(all[name], e)
		}
	}
	return all
}

// firstCycle walks through a conversation up to its first close. ok is false where the order leaves
// a question.
func firstCycle(events []*plainEvent) (text string, ok bool) {
	if len(events) > windowEvents || !ordered(events) {
		return "", false
	}
	var asked *plainEvent
	var messages int64
	var human, any *int64
	opened := false
	wait := func(e *plainEvent) *int64 {
		ms := max(0, e.timeMS-asked.timeMS)
		return &ms
	}
	for _, e := range events {
		switch e.Type {
		case "void", "merge", "link", "transfer", "escalate", "session_end":
			return "", false // they have rules of their own
		case "open", "reopen":
			opened = true
		case "status":
			if e.Status.To != "open" && !opened {
				continue
			}
			opened = true
			if e.Status.To == "closed" {
				return cycleText(messages, human, any), true
			}
		case "close", "resolve":
			if opened {
				return cycleText(messages, human, any), true
			}
		case "message", "bot_answer":
			m := e.message()
			switch {
			case !m.open():
			case e.asks():
				opened = true
				messages++
				if asked == nil {
					asked = e
				}
			case asked == nil || m.Fallback || m.Greeting:
			case e.Type == "message" && e.Actor.Kind == "agent" && human == nil:
				human = wait(e)
				if any == nil {
					any = human
				}
			case (e.Type == "bot_answer" || e.Actor.Kind == "bot") && any == nil:
				any = wait(e)
			}
		}
	}
	return cycleText(messages, human, any), opened
}

// ordered sorts by seq when all have one, by time when none has, and refuses what is neither, or
// has two events at one place.
func ordered(events []*plainEvent) bool {
	sequenced := 0
	for _, e := range events {
		if e.Seq != nil {
			sequenced++
		}
	}
	if sequenced != 0 && sequenced != len(events) {
		return false
	}
	place := func(e *plainEvent) int64 {
		if e.Seq != nil {
			return *e.Seq
		}
		return e.timeMS
	}
	slices.SortFunc(events, func(a, b *plainEvent) int { return int(place(a) - place(b)) })
	for i := 1; i < len(events); i++ {
		if place(events[i]) == place(events[i-1]) {
			return false
		}
	}
	return true
}

func cycleText(messages int64, human, any *int64) string {
	text := func(ms *int64) string {
		if ms == nil {
			return "none"
		}
		return fmt.Sprint(*ms)
	}
	return fmt.Sprintf("%d messages, first human reply %s, first reply %s", messages, text(human), text(any))
}
