package dashboards

import "fmt"

// definition is what a panel says of the KPI it shows. The words are those of kpi_definitions; a
// test holds version and needs to the views' own.
type definition struct {
	name    string
	version int
	text    string
	needs   string // the events without which there is no number
}

var (
	volume = definition{"volume", 1,
		"Conversation cycles opened, counted when they open; voided, merged and spam ones left out.",
		"message"}
	firstReplyHuman = definition{"first_reply_human", 1,
		"First message of the customer to the first reply of a person, in wall time, per cycle. " +
			"Private notes, automated messages and bots do not count. Counted when the reply comes.",
		"message"}
	firstReplyAny = definition{"first_reply_any", 1,
		"First message of the customer to the first reply of a person or a bot, in wall time, per " +
			"cycle; greetings, fallbacks and automated messages are no replies.",
		"message"}
	unanswered = definition{"unanswered", 1,
		"Cycles with a message of the customer and no reply so far, of all cycles with a message " +
			"of the customer; provisional while a cycle is open.",
		"message"}
	missed = definition{"missed", 1,
		"Ended cycles (closed, or left by the customer) that were never answered, of all ended " +
			"cycles with a message of the customer.",
		"close or session_end"}
	escalation = definition{"escalation", 1,
		"Cycles handed from a bot to people, of all cycles in which a bot wrote more than a " +
			"greeting.",
		"escalate, assign or transfer"}
	decisionBands = definition{"decision_bands", 1,
		"Routing decisions by band: auto (usher acts), suggest (usher proposes), none (usher leaves " +
			"it to people).",
		"message"}
)

// describe is a panel's description: how to read it, then definition, version and needs.
func describe(howToRead string, definitions ...definition) string {
	text := howToRead
	for _, d := range definitions {
		text += fmt.Sprintf("\n\n**kpi_%s, version %d.** %s Needs %s.", d.name, d.version, d.text,
			d.needs)
	}
	return text
}

// noValue is what a panel shows when the events it needs never came: never 0.
func (d definition) noValue() string { return "needs " + d.needs }
