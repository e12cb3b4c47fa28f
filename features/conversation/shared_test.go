package conversation

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"usher/pipeline/event"
)

// sharedDir finds the shared data beside the repository, or skips.
func sharedDir(t testing.TB, sub string) string {
	t.Helper()
	var tried []string
	if dir := os.Getenv("USHER_SHARED"); dir != "" {
		tried = append(tried, dir)
	} else {
		dir, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
			tried = append(tried, filepath.Join(filepath.Dir(d), "shared"))
		}
	}
	for _, d := range tried {
		if _, err := os.Stat(filepath.Join(d, sub)); err == nil {
			return filepath.Join(d, sub)
		}
	}
	t.Skip("no shared data")
	return ""
}

// jsonEvent is section 2 of the contract as encoding/json reads it: a second reader beside the
// codec, for these tests only.
type jsonEvent struct {
	ID             string          `json:"id"`
	Type           string          `json:"type"`
	Time           json.RawMessage `json:"time"`
	ConversationID string          `json:"conversation_id"`
	Tenant         string          `json:"tenant"`
	Channel        string          `json:"channel"`
	Lang           string          `json:"lang"`
	Region         string          `json:"region"`
	Inbox          string          `json:"inbox"`
	Seq            *int64          `json:"seq"`
	AIDisclosed    bool            `json:"ai_disclosed"`
	Actor          struct{ Kind, ID, Team, Role string }
	Message        jsonMessage                 `json:"message"`
	Close          struct{ Resolution string } `json:"close"`
	Status         struct{ To string }         `json:"status"`
	Escalate       jsonMove                    `json:"escalate"`
	Assign         jsonMove                    `json:"assign"`
	Transfer       jsonMove                    `json:"transfer"`
	SessionEnd     struct{ Reason string }     `json:"session_end"`
	Void           struct{ Reason string }     `json:"void"`
	CSAT           struct {
		Score *float64
		Scale float64
		Asked bool
	} `json:"csat"`
	Outcome struct {
		Kind, Currency string
		Value          *float64
	} `json:"outcome"`
}

type jsonMessage struct {
	Text                                string
	Public                              *bool
	Automated, Echo, Fallback, Greeting bool
	Intent                              string
}

type jsonMove struct {
	To, From      struct{ Agent, Team, Role, Queue string }
	Queue, Reason string
}

var (
	jsonTypes = map[string]event.Type{
		"message": event.TypeMessage, "bot_answer": event.TypeBotAnswer,
		"open": event.TypeOpen, "reopen": event.TypeReopen,
		"close":   event.TypeClose,
		"resolve": event.TypeClose, "status": event.TypeStatus, "assign": event.TypeAssign,
		"transfer": event.TypeTransfer, "escalate": event.TypeEscalate, "note": event.TypeNote,
		"handoff_offered": event.TypeHandoffOffered, "handoff_accepted": event.TypeHandoffAccepted,
		"handoff_declined": event.TypeHandoffDeclined,
		"contact_provided": event.TypeContactProvided,
		"session_end":      event.TypeSessionEnd, "csat": event.TypeCSAT,
		"outcome": event.TypeOutcome,
		"merge":   event.TypeMerge, "void": event.TypeVoid, "reaction": event.TypeReaction}
	jsonActors = map[string]event.ActorKind{"": 0, "customer": event.ActorCustomer,
		"agent": event.ActorAgent, "bot": event.ActorBot, "system": event.ActorSystem}
	jsonStatus = map[string]event.StatusTo{"": 0, "open": event.StatusOpen,
		"pending": event.StatusPending, "hold": event.StatusHold,
		"snoozed": event.StatusSnoozed, "closed": event.StatusClosed}
	jsonResolution = map[string]event.Resolution{"": 0, "confirmed": event.ResolutionConfirmed,
		"assumed": event.ResolutionAssumed, "unresolved": event.ResolutionUnresolved,
		"spam": event.ResolutionSpam}
	jsonOutcome = map[string]event.OutcomeKind{"": 0, "booking": event.OutcomeBooking,
		"sale": event.OutcomeSale, "lead": event.OutcomeLead, "refund": event.OutcomeRefund,
		"none": event.OutcomeNone}
)

func (j *jsonEvent) event(t testing.TB) event.Event {
	ev := event.Event{
		Type: jsonTypes[j.Type], ID: []byte(j.ID), ConversationID: []byte(j.ConversationID),
		Tenant: []byte(j.Tenant), Channel: []byte(j.Channel), Lang: []byte(j.Lang),
		Region: []byte(j.Region), Inbox: []byte(j.Inbox), TimeMS: jsonTime(t, j.Time),
		Actor: event.Actor{Kind: jsonActors[j.Actor.Kind], ID: []byte(j.Actor.ID),
			Team: []byte(j.Actor.Team), Role: []byte(j.Actor.Role)},
		AIDisclosed: j.AIDisclosed, Resolution: jsonResolution[j.Close.Resolution],
		Status: event.Status{To: jsonStatus[j.Status.To]},
	}
	if j.Seq != nil {
		ev.Seq, ev.HasSeq = *j.Seq, true
	}
	m := &j.Message
	ev.Message = event.Message{Public: m.Public == nil || *m.Public, Automated: m.Automated,
		Echo: m.Echo, Fallback: m.Fallback, Greeting: m.Greeting, Intent: []byte(m.Intent)}
	moves := map[string]*jsonMove{
		"assign": &j.Assign, "transfer": &j.Transfer, "escalate": &j.Escalate}
	if move := moves[j.Type]; move != nil {
		ev.Move = event.Move{To: party(move.To), From: party(move.From), Queue: []byte(move.Queue)}
		ev.Reason = []byte(move.Reason)
	}
	ev.Reason = append(ev.Reason, j.SessionEnd.Reason+j.Void.Reason...)
	ev.CSAT = event.CSAT{Asked: j.CSAT.Asked, Scale: j.CSAT.Scale, HasScore: j.CSAT.Score != nil}
	if ev.CSAT.HasScore {
		ev.CSAT.Score = *j.CSAT.Score
	}
	if ev.CSAT.Scale == 0 {
		ev.CSAT.Scale = 5
	}
	ev.Outcome = event.Outcome{Kind: jsonOutcome[j.Outcome.Kind]}
	return ev
}

func party(p struct{ Agent, Team, Role, Queue string }) event.Party {
	return event.Party{Agent: []byte(p.Agent), Team: []byte(p.Team), Role: []byte(p.Role),
		Queue: []byte(p.Queue)}
}

func jsonTime(t testing.TB, raw json.RawMessage) int64 {
	t.Helper()
	var ms int64
	if json.Unmarshal(raw, &ms) == nil {
		return ms
	}
	var s string
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMilli()
}
