package jsonl

import (
	"bytes"
	"fmt"

	"usher/pipeline/event"
)

// samplesMax is how many bad lines a report keeps in full. All are counted and all reach OnBad.
const samplesMax = 20

// Report counts what an import met.
type Report struct {
	Files         int
	Lines         int // not blank
	Blank         int
	Events        int
	Conversations int // and agents, for agent_status
	Bad           int
	BadByCode     map[event.Code]int
	Samples       []Bad // the first bad lines
}

// Bad is a line that is no event. It quotes nothing of the line.
type Bad struct {
	File   string
	Line   int // from 1
	Code   event.Code
	Reason string // the field and the rule
	Mend   string // what to do about it
}

// String is one line for people: file:line, code, reason, and how to mend it.
func (b Bad) String() string {
	return fmt.Sprintf("%s:%d: %s: %s (%s)", b.File, b.Line, b.Code, b.Reason, b.Mend)
}

func (r *Report) add(bad Bad, onBad func(Bad)) {
	r.Bad++
	if r.BadByCode == nil {
		r.BadByCode = map[event.Code]int{}
	}
	r.BadByCode[bad.Code]++
	if len(r.Samples) < samplesMax {
		r.Samples = append(r.Samples, bad)
	}
	if onBad != nil {
		onBad(bad)
	}
}

// mend says what to do about a line. mapped tells whether the reader can be told where a field is.
func mend(code event.Code, line []byte, mapped bool) string {
	switch code {
	case event.JSONSyntax, event.NumberSyntax:
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("[")) {
			return "the file is one array: make it one object a line, jq -c '.[]' does"
		}
		return "write one JSON object a line"
	case event.FieldMissing:
		if mapped {
			return "add the field, or say where the line has it: --map FIELD=PATH"
		}
		return "add the field; usher import --map FIELD=PATH takes it from a field of another name"
	case event.FieldType:
		return "send the type that docs/events.md lists for the field"
	case event.FieldValue:
		if mapped {
			return "send one of the values of docs/events.md, or translate yours: --values FIELD:yours=ours"
		}
		return "send one of the values of docs/events.md"
	case event.TimeRange:
		return "send milliseconds since 1970 (seconds times 1000) or RFC 3339 with offset"
	case event.TooLarge:
		return "cut the text, send attachments as links"
	case event.TooDeep:
		return "flatten the object to at most 64 levels"
	case event.UTF8:
		return "send the id as valid UTF-8 without control characters"
	case event.DupKey:
		return "send every key once"
	case event.IDTooLong:
		return "shorten it to 128 bytes, for example to a hash"
	}
	return "docs/events.md says what an event must hold"
}
