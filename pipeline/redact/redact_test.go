package redact

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/dchest/siphash"

	"usher/pipeline/event"
)

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		key  string
		mode Mode
		want string
	}{
		{"", Auto, "privacy key"},
		{"fifteen bytes k", Auto, "openssl rand"},
		{"sixteen bytes ke", "all", "auto, keep or pseudonym"},
	} {
		_, err := New([]byte(c.key), Config{ConversationIDs: c.mode})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("New(%d bytes, %q) = %v, want an error with %q", len(c.key), c.mode, err, c.want)
		}
		if err != nil && c.key != "" && strings.Contains(err.Error(), c.key) {
			t.Error("the error shows the key")
		}
	}
}

// TestPseudonymIsSipHash holds the pseudonym to its definition, computed another way: rows that are
// stored depend on it.
func TestPseudonymIsSipHash(t *testing.T) {
	secret := []byte("a key for tests, no secret")
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("usher/1/customer"))
	sip := siphash.New128(mac.Sum(nil)[:16])
	sip.Write([]byte("\x06salon7cu-1"))
	want := hex.EncodeToString(sip.Sum(nil))

	r := newRedactor(t, Config{})
	got := string(r.Pseudonym(nil, Customer, []byte("salon7"), []byte("cu-1")))
	if got != want || len(got) != PseudonymBytes {
		t.Errorf("Pseudonym = %s, want %s", got, want)
	}
}

func TestPseudonymsDiffer(t *testing.T) {
	r := newRedactor(t, Config{})
	other, err := New([]byte("another key for tests"), Config{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{}
	add := func(name string, p []byte) {
		if before, there := seen[string(p)]; there {
			t.Errorf("%s and %s have one pseudonym", name, before)
		}
		seen[string(p)] = name
	}
	add("customer", r.Pseudonym(nil, Customer, []byte("ab"), []byte("c")))
	add("conversation", r.Pseudonym(nil, Conversation, []byte("ab"), []byte("c")))
	add("border moved", r.Pseudonym(nil, Customer, []byte("a"), []byte("bc")))
	add("other key", other.Pseudonym(nil, Customer, []byte("ab"), []byte("c")))
	key := r.Key([]byte("ab"), []byte("c"))
	add("state", []byte(hex.EncodeToString(key[:])))
	if key != newRedactor(t, Config{}).Key([]byte("ab"), []byte("c")) {
		t.Error("the same key gives another identity")
	}
}

func TestLooksPersonal(t *testing.T) {
	for id, want := range map[string]bool{
		"+37129123456":                         true,
		"37129123456":                          true,
		"29123456":                             true,
		"+371 29 123 456":                      true,
		"8 (916) 123-45-67":                    true,
		"whatsapp:+37129123456":                true,
		"whatsapp:37129123456":                 true,
		"tel:29123456":                         true,
		"wa_37129123456":                       true,
		"wa-37129123456-2":                     true,
		"37129123456@s.whatsapp.net":           true,
		"37129123456-1600000000@g.us":          true,
		"anna@salon.lv":                        true,
		"anna@localhost":                       true,
		"":                                     false,
		"c-42":                                 false,
		"1234567":                              false,
		"ticket-29123456":                      false,
		"20261102":                             false,
		"1793613600":                           false,
		"1793613600123":                        false,
		"thread-1793613600123":                 false,
		"01JD4M7ZK3Q8X2RTWY0123456789":         false,
		"550e8400-e29b-41d4-a716-446655440000": false,
		"9f86d081884c7d659a2feaa0c55ad015":     false,
		"@name":                                false,
		"17841400000000000":                    false,
	} {
		if got := LooksPersonal([]byte(id)); got != want {
			t.Errorf("LooksPersonal(%q) = %v", id, got)
		}
	}
}

func TestConversationIDModes(t *testing.T) {
	tenant, plain, phone := []byte("t"), []byte("c-42"), []byte("+37129123456")
	for mode, want := range map[Mode][2]bool{ // is c-42, is the phone replaced?
		Auto: {false, true}, Keep: {false, false}, Pseudonym: {true, true}, "": {false, true},
	} {
		r := newRedactor(t, Config{ConversationIDs: mode})
		for i, id := range [][]byte{plain, phone} {
			got := r.ConversationID(nil, tenant, id)
			if replaced := !bytes.Equal(got, id); replaced != want[i] {
				t.Errorf("mode %q, id %d: replaced %v", mode, i, replaced)
			}
			if want[i] && !bytes.Equal(got, r.Pseudonym(nil, Conversation, tenant, id)) {
				t.Errorf("mode %q, id %d: not its pseudonym", mode, i)
			}
		}
	}
}

// personal is an event that holds a secret in every place that Apply looks after.
func personal() event.Event {
	b := func(s string) []byte { return []byte(s) }
	return event.Event{
		Type: event.TypeMessage, Tenant: b("salon7"), ID: b("e-1"),
		ConversationID: b("37129123456@s.whatsapp.net"), ToConversation: b("+37129123456"),
		CustomerID: b("cu-secret"),
		Actor:      event.Actor{Kind: event.ActorCustomer, ID: b("actor-secret")},
		Reason:     b("wants a call to +37129123456"),
		Kinds:      [][]byte{b("email"), b("bob@example.com")},
		Attrs: []event.Attr{
			{Key: b("page"), Value: b("/prices")}, {Key: b("mail"), Value: b("bob@example.com")}},
		Message: event.Message{
			Text:  b("I am bob@example.com, +37129123456, 4111 1111 1111 1111"),
			Media: b("photo of bob@example.com"),
		},
	}
}

func TestApply(t *testing.T) {
	r := newRedactor(t, Config{})
	ev := personal()
	if r.Apply(&ev) {
		t.Error("a short text was reported as cut")
	}
	line := string(event.Append(nil, &ev)) + string(ev.ToConversation) + string(ev.Reason) +
		string(bytes.Join(ev.Kinds, nil))
	for _, secret := range []string{"secret", "bob@", "29123456", "4111"} {
		if strings.Contains(line, secret) {
			t.Errorf("%q is still in the event", secret)
		}
	}
	want := "I am <email>, <phone>, <card>"
	if string(ev.Message.Text) != want {
		t.Errorf("text %q, want %q", ev.Message.Text, want)
	}
	tenant := []byte("salon7")
	check := func(name string, got, want []byte) {
		t.Helper()
		if !bytes.Equal(got, want) {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	check("customer", ev.CustomerID, r.Pseudonym(nil, Customer, tenant, []byte("cu-secret")))
	check("actor", ev.Actor.ID, r.Pseudonym(nil, Customer, tenant, []byte("actor-secret")))
	check("conversation", ev.ConversationID,
		r.Pseudonym(nil, Conversation, tenant, []byte("37129123456@s.whatsapp.net")))
	check("to", ev.ToConversation, r.Pseudonym(nil, Conversation, tenant, []byte("+37129123456")))
	check("kind", ev.Kinds[0], []byte("email"))
	check("attr", ev.Attrs[0].Value, []byte("/prices"))
	check("event id", ev.ID, []byte("e-1"))
}

// TestApplyCustomerKey: customer_id, else the acting customer's id; nobody else's.
func TestApplyCustomerKey(t *testing.T) {
	r := newRedactor(t, Config{})
	ev := event.Event{Tenant: []byte("t"),
		Actor: event.Actor{Kind: event.ActorCustomer, ID: []byte("cu-1")}}
	r.Apply(&ev)
	want := r.Pseudonym(nil, Customer, []byte("t"), []byte("cu-1"))
	if !bytes.Equal(ev.CustomerID, want) || !bytes.Equal(ev.Actor.ID, want) {
		t.Errorf("customer %q, actor %q, want both %q", ev.CustomerID, ev.Actor.ID, want)
	}
	ev = event.Event{Tenant: []byte("t"),
		Actor: event.Actor{Kind: event.ActorAgent, ID: []byte("ag-1")}}
	r.Apply(&ev)
	if ev.CustomerID != nil || string(ev.Actor.ID) != "ag-1" {
		t.Errorf("an agent became customer %q, actor %q", ev.CustomerID, ev.Actor.ID)
	}
}

func TestApplyCuts(t *testing.T) {
	r := newRedactor(t, Config{})
	for _, c := range []struct {
		text string
		cut  bool
		want int
	}{
		{strings.Repeat("a", TextBytesMax), false, TextBytesMax},
		{strings.Repeat("a", TextBytesMax+1), true, TextBytesMax},
		{strings.Repeat("a", TextBytesMax-1) + "я", true, TextBytesMax - 1},
		{strings.Repeat("语", TextBytesMax/3+1), true, TextBytesMax / 3 * 3},
	} {
		ev := event.Event{Message: event.Message{Text: []byte(c.text)}}
		if got := r.Apply(&ev); got != c.cut || len(ev.Message.Text) != c.want {
			t.Errorf("%d bytes: cut %v to %d, want %v to %d", len(c.text), got,
				len(ev.Message.Text), c.cut, c.want)
		}
	}
	// A card that lies across the cut does not leave its first half.
	ev := event.Event{Message: event.Message{
		Text: []byte(strings.Repeat("a", TextBytesMax-10) + " 4111111111111111")}}
	if r.Apply(&ev); bytes.Contains(ev.Message.Text, []byte("4111")) {
		t.Error("half a card number was left at the cut")
	}
}

func TestApplyDoesNotAllocate(t *testing.T) {
	r := newRedactor(t, Config{})
	base := personal()
	var ev event.Event
	kinds, attrs := make([][]byte, len(base.Kinds)), make([]event.Attr, len(base.Attrs))
	n := testing.AllocsPerRun(100, func() {
		ev = base
		ev.Kinds, ev.Attrs = kinds, attrs
		copy(kinds, base.Kinds)
		copy(attrs, base.Attrs)
		r.Apply(&ev)
	})
	if n != 0 {
		t.Errorf("Apply allocates %v times an event", n)
	}
}

func BenchmarkApply(b *testing.B) {
	for name, text := range map[string]string{
		"plain": "Hello, how much is a haircut for long hair next Friday, is there a time after 17:30?",
		"phone": "Hello, how much is a haircut for long hair next Friday? Call me: +371 29 123 456, bye",
		"email": "Hello, how much is a haircut for long hair? Please answer to anna.berzina@example.com",
	} {
		b.Run(name, func(b *testing.B) {
			r := newRedactor(b, Config{})
			base := event.Event{Tenant: []byte("salon7"), ConversationID: []byte("c-48213"),
				Actor: event.Actor{Kind: event.ActorCustomer, ID: []byte("cu-7781")}}
			base.Message.Text = []byte(text)
			b.ReportAllocs()
			for b.Loop() {
				ev := base
				r.Apply(&ev)
			}
		})
	}
}
