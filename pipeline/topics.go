package pipeline

import "github.com/twmb/franz-go/pkg/kgo"

// Topics holds the names of the topics that a router writes (CONTRACT section 1).
type Topics struct {
	Decisions   string
	SLA         string
	DeadLetters string
	Rows        string
	State       string // of the first source; others are State + "." + their topic
}

// DefaultTopics names the topics as CONTRACT does, each behind prefix.
func DefaultTopics(prefix string) Topics {
	return Topics{
		Decisions:   prefix + "chat.decisions.v1",
		SLA:         prefix + "chat.sla.v1",
		DeadLetters: prefix + "chat.deadletters.v1",
		Rows:        prefix + "usher.rows.v1",
		State:       prefix + "usher.state.v1",
	}
}

// partitioner sends rows and state to the partition that the record names (they follow the input
// partition) and everything else where any Kafka client would: by murmur2 of the key.
type partitioner struct {
	manual map[string]bool
	byKey  kgo.Partitioner
	byHand kgo.Partitioner
}

func newPartitioner(manual ...string) *partitioner {
	p := &partitioner{
		manual: make(map[string]bool),
		byKey:  kgo.StickyKeyPartitioner(nil),
		byHand: kgo.ManualPartitioner(),
	}
	for _, t := range manual {
		p.manual[t] = true
	}
	return p
}

// ForTopic implements kgo.Partitioner.
func (p *partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	if p.manual[topic] {
		return p.byHand.ForTopic(topic)
	}
	return p.byKey.ForTopic(topic)
}
