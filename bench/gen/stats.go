package gen

import "usher/pipeline/event"

// count adds a record to the truth.
func (g *Generator) count(rec *Record) {
	st := &g.stats
	st.Records++
	if rec.Code != "" {
		st.Broken++
		st.BrokenBy[rec.Code]++
		return
	}
	st.Events++
	st.ValueBytes += int64(len(rec.Value))
	st.ByType[rec.Type]++
	if rec.Duplicate {
		st.Duplicates++
	}
}

// countStep adds what only the script knows.
func (g *Generator) countStep(s *step) {
	st := &g.stats
	switch {
	case s.kind <= stepCustomerMedia:
		st.CustomerMessages++
		label := Unlabelled
		if s.kind == stepCustomer {
			label = Label(s.a)
		}
		st.ByLabel[label]++
	case s.kind <= stepAgentPrivate:
		st.AgentMessages++
	case s.kind <= stepBotFallback:
		st.BotMessages++
	case s.kind == stepSystem:
		st.SystemMessages++
	case s.kind == stepEscalate:
		st.Escalations[reasonNames[s.a]]++
	}
	if s.flags&flagDisplaced != 0 {
		st.Displaced++
	}
	if s.flags&flagFarLate != 0 {
		st.FarLate++
	}
	if s.flags&flagSkewed != 0 {
		st.Skewed++
	}
}

// Types returns the counts of ByType by name; unknown types stand under "unknown".
func (s *Stats) Types() map[string]int64 {
	types := map[string]int64{}
	for i, n := range s.ByType {
		name := event.Type(i).String()
		if name == "" {
			name = "unknown"
		}
		types[name] = n
	}
	return types
}
