package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"usher/pipeline/event"
	"usher/pipeline/source/jsonl"
)

// eventLevel is one level of the table in CONTRACT section 2: what is sent, and what it feeds.
type eventLevel struct {
	name string
	kpis string
	has  func(*eventTally) bool
	need string
}

var eventLevels = []eventLevel{
	{"1 message with actor.kind", "volume, first and next reply, unanswered, decisions",
		func(t *eventTally) bool { return t.from[event.ActorCustomer] > 0 && t.replies() > 0 },
		"messages of customers and of agents or bots (actor.kind)"},
	{"2 close", "missed, dropped, reopened, one-touch, time to close, containment",
		func(t *eventTally) bool {
			return t.types[event.TypeClose] > 0 || t.closed > 0 || t.types[event.TypeSessionEnd] > 0
		},
		"close (or status: closed, or session_end) when a conversation ends"},
	{"3 escalate, assign, transfer",
		"escalation, routed to team, first reply after handoff, handling time",
		func(t *eventTally) bool {
			return t.types[event.TypeEscalate]+t.types[event.TypeAssign]+t.types[event.TypeTransfer] > 0
		},
		"escalate at a handoff, assign and transfer when the agent or queue changes"},
	{"4 outcome, csat", "conversion, outcome value, satisfaction",
		func(t *eventTally) bool { return t.types[event.TypeOutcome]+t.types[event.TypeCSAT] > 0 },
		"outcome when something was sold or booked, csat when a customer rated"},
	{"5 feedback, label, agent_status", "quality of decisions, retraining, occupancy",
		func(t *eventTally) bool {
			return t.types[event.TypeFeedback]+t.types[event.TypeLabel]+t.types[event.TypeAgentStatus] > 0
		},
		"feedback on decisions, label for messages, agent_status when agents come and go"},
}

// eventTally is what a producer's events hold.
type eventTally struct {
	events, texts int
	types         [event.TypeVoid + 1]int
	from          [event.ActorSystem + 1]int // messages by actor
	closed        int                        // status: closed
	withSeq       int
	noActorID     int // agents' messages without actor.id
	noLang        int // customers' messages without lang
	unknown       map[string]int
}

func (t *eventTally) replies() int { return t.from[event.ActorAgent] + t.from[event.ActorBot] }

func (t *eventTally) add(ev *event.Event) {
	t.events++
	t.types[ev.Type]++
	if ev.HasSeq {
		t.withSeq++
	}
	switch ev.Type {
	case event.Unknown:
		t.unknown[string(ev.TypeName)]++
	case event.TypeStatus:
		if ev.Status.To == event.StatusClosed {
			t.closed++
		}
	case event.TypeBotAnswer:
		t.from[event.ActorBot]++
	case event.TypeMessage:
		t.from[ev.Actor.Kind]++
		if ev.Actor.Kind == event.ActorAgent && len(ev.Actor.ID) == 0 {
			t.noActorID++
		}
		if ev.Actor.Kind == event.ActorCustomer {
			if len(ev.Message.Text) > 0 {
				t.texts++
			}
			if len(ev.Lang) == 0 {
				t.noLang++
			}
		}
	}
}

// checkEvents reads a producer's own events and says what is wrong with them, line by line, and
// what they are good for.
func (a *app) checkEvents(ctx context.Context, file string) error {
	if file != "-" {
		if _, err := os.Stat(file); err != nil {
			return usagef("cannot open the events: %w", err)
		}
	}
	now := time.Now().UnixMilli()
	tally := &eventTally{unknown: map[string]int{}}
	dec := event.NewDecoder(event.Limits{})
	var ev event.Event
	report := &jsonl.Report{}
	err := jsonl.Each(ctx, jsonl.Config{
		NowMS: now,
		OnBad: func(b jsonl.Bad) { fmt.Fprintln(a.out, b.String()) },
	}, []string{file}, report, func(e jsonl.Event) error {
		if rej := dec.Decode(e.Value, event.Envelope{NowMS: now}, &ev); rej != nil {
			return fmt.Errorf("BUG: an event that was good is not any more: %w", rej)
		}
		tally.add(&ev)
		return nil
	})
	if err != nil {
		return err
	}
	a.printTally(tally, report)
	if report.Bad > 0 {
		return notHeldf("%d of %d lines are no events and would become dead letters",
			report.Bad, report.Lines)
	}
	if report.Lines == 0 {
		return notHeldf("%s holds no line", file)
	}
	return nil
}

func (a *app) printTally(t *eventTally, r *jsonl.Report) {
	fmt.Fprintf(a.out, "%d lines: %d events of %d conversations, %d bad\n",
		r.Lines, r.Events, r.Conversations, r.Bad)
	if t.events == 0 {
		return
	}
	for _, l := range eventLevels {
		if l.has(t) {
			fmt.Fprintf(a.out, "  yes  %s: %s\n", l.name, l.kpis)
		} else {
			fmt.Fprintf(a.out, "  no   %s: %s; send %s\n", l.name, l.kpis, l.need)
		}
	}
	for _, hint := range t.hints() {
		fmt.Fprintf(a.out, "  note %s\n", hint)
	}
}

// hints are what is legal and yet worth a look.
func (t *eventTally) hints() []string {
	var out []string
	if len(t.unknown) > 0 {
		var names []string
		for _, name := range slices.Sorted(maps.Keys(t.unknown)) {
			names = append(names, fmt.Sprintf("%s (%d)", name, t.unknown[name]))
		}
		out = append(out, "unknown types are stored and touch nothing: "+strings.Join(names, ", "))
	}
	if t.from[event.ActorCustomer] == 0 {
		out = append(out, "no message is a customer's: is actor.kind mapped to customer, agent, bot, system?")
	}
	if t.withSeq > 0 && t.withSeq < t.events {
		out = append(out, fmt.Sprintf("%d of %d events carry seq: a conversation is ordered by seq only "+
			"while all of its events have one", t.withSeq, t.events))
	}
	if t.noActorID > 0 {
		out = append(out, fmt.Sprintf("%d agents' messages have no actor.id: figures per agent lack them",
			t.noActorID))
	}
	if n := t.from[event.ActorCustomer]; n > 0 && t.texts == 0 {
		out = append(out, "no customer's message has a text: nothing can be classified")
	}
	return out
}
