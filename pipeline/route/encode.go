package route

import (
	"encoding/hex"
	"math"
	"strconv"
	"unicode/utf8"
)

// AppendJSON appends d as one line of chat.decisions.v1, fields in CONTRACT's order, without a
// line break. It allocates only when b must grow.
func AppendJSON(b []byte, d *Decision) []byte {
	b = append(b, `{"v":1,"id":"`...)
	b = hex.AppendEncode(b, d.ID[:])
	b = append(b, `","time":"`...)
	b = AppendTime(b, d.TimeMS)
	b = append(b, `","tenant":`...)
	b = appendBytes(b, d.Tenant)
	b = append(b, `,"conversation_id":`...)
	b = appendBytes(b, d.ConversationID)
	b = append(b, `,"cycle":`...)
	if d.Cycle == 0 {
		b = append(b, "null"...)
	} else {
		b = strconv.AppendInt(b, d.Cycle, 10)
	}
	b = appendTrigger(b, &d.Trigger)
	b = appendModel(b, &d.Model)
	b = appendVerdict(b, d)
	b = append(b, `,"sentiment":`...)
	if d.Sentiment.ID == "" {
		b = append(b, "null"...)
	} else {
		b = append(b, `{"label":`...)
		b = appendString(b, d.Sentiment.ID)
		b = append(b, `,"score":`...)
		b = appendNumber(b, d.Sentiment.Score)
		b = append(b, '}')
	}
	b = append(b, `,"lang":`...)
	b = appendOptionalBytes(b, d.Lang)
	b = append(b, `,"escalate":`...)
	b = strconv.AppendBool(b, d.Escalate)
	b = append(b, `,"priority":`...)
	b = appendOptional(b, d.Priority)
	b = appendRoute(b, d)
	b = appendActions(b, d)
	b = appendSLA(b, &d.SLA)
	b = appendFeatures(b, &d.Features)
	b = append(b, `,"emitted_at":"`...)
	b = AppendTime(b, d.EmittedAtMS)
	b = append(b, `","latency_us":`...)
	b = strconv.AppendInt(b, d.LatencyUS, 10)
	return append(b, '}')
}

func appendTrigger(b []byte, t *Trigger) []byte {
	b = append(b, `,"trigger":{"event_id":`...)
	b = appendBytes(b, t.EventID)
	b = append(b, `,"topic":`...)
	b = appendOptional(b, t.Topic)
	b = append(b, `,"partition":`...)
	b = strconv.AppendInt(b, int64(t.Partition), 10)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, t.Offset, 10)
	return append(b, '}')
}

func appendModel(b []byte, m *ModelInfo) []byte {
	if m.Name == "" {
		return append(b, `,"model":null`...)
	}
	b = append(b, `,"model":{"name":`...)
	b = appendString(b, m.Name)
	b = append(b, `,"version":`...)
	b = appendOptional(b, m.Version)
	b = append(b, `,"checksum":`...)
	b = appendOptional(b, m.Checksum)
	b = append(b, `,"variant":`...)
	b = appendOptional(b, m.Variant)
	b = append(b, `,"mode":`...)
	b = appendString(b, m.Mode.String())
	return append(b, '}')
}

func appendVerdict(b []byte, d *Decision) []byte {
	if d.Label == "" {
		b = append(b, `,"label":null,"score":null,"margin":null,"scope":null`...)
	} else {
		b = append(b, `,"label":`...)
		b = appendString(b, d.Label)
		b = append(b, `,"score":`...)
		b = appendNumber(b, d.Score)
		b = append(b, `,"margin":`...)
		b = appendNumber(b, d.Margin)
		b = append(b, `,"scope":`...)
		b = appendNumber(b, d.Scope)
	}
	b = append(b, `,"band":"`...)
	b = append(b, d.Band.String()...)
	b = append(b, `","band_reason":`...)
	b = appendOptional(b, d.BandReason.String())
	b = append(b, `,"thresholds":{"suggest":`...)
	b = appendNumber(b, d.Thresholds.Suggest)
	b = append(b, `,"auto":`...)
	b = appendNumber(b, d.Thresholds.Auto)
	b = append(b, `},"suggestions":[`...)
	for i := range d.Suggestions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"kind":`...)
		b = appendString(b, d.Suggestions[i].Kind)
		b = append(b, `,"id":`...)
		b = appendString(b, d.Suggestions[i].ID)
		b = append(b, `,"score":`...)
		b = appendNumber(b, d.Suggestions[i].Score)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendRoute(b []byte, d *Decision) []byte {
	b = append(b, `,"rule":{"id":`...)
	b = appendOptional(b, d.Rule.ID)
	b = append(b, `,"set":`...)
	b = appendOptional(b, d.Rule.Set)
	b = append(b, `},"route":{"queue":`...)
	b = appendOptional(b, d.Route.Queue)
	b = append(b, `,"role":`...)
	b = appendOptional(b, d.Route.Role)
	b = append(b, `,"agent":`...)
	b = appendOptional(b, d.Route.Agent)
	b = append(b, `,"service":`...)
	b = appendOptional(b, d.Route.Service)
	b = append(b, `,"script":`...)
	b = appendOptional(b, d.Route.Script)
	return append(b, '}')
}

func appendActions(b []byte, d *Decision) []byte {
	b = append(b, `,"recommended_action":"`...)
	b = append(b, d.Action.String()...)
	b = append(b, `","actions":[`...)
	for i := range d.Actions {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"do":`...)
		b = appendString(b, d.Actions[i].Do)
		b = append(b, `,"object":`...)
		b = appendOptional(b, d.Actions[i].Object)
		b = append(b, '}')
	}
	return append(b, ']')
}

func appendSLA(b []byte, s *SLA) []byte {
	if s.Policy == "" {
		return append(b, `,"sla":null`...)
	}
	b = append(b, `,"sla":{"policy":`...)
	b = appendString(b, s.Policy)
	b = append(b, `,"first_reply_due":`...)
	if s.FirstReplyDueMS == 0 {
		return append(b, "null}"...)
	}
	b = append(b, '"')
	b = AppendTime(b, s.FirstReplyDueMS)
	return append(b, `"}`...)
}

func appendFeatures(b []byte, f *Features) []byte {
	b = append(b, `,"features":{"turn":`...)
	b = strconv.AppendInt(b, f.Turn, 10)
	b = append(b, `,"waiting_ms":`...)
	b = strconv.AppendInt(b, f.WaitingMS, 10)
	b = append(b, `,"business_hours":`...)
	switch f.BusinessHours {
	case Unknown:
		b = append(b, "null"...)
	default:
		b = strconv.AppendBool(b, f.BusinessHours == Yes)
	}
	b = append(b, `,"prev_label":`...)
	b = appendOptional(b, f.PrevLabel)
	b = append(b, `,"bot_failed":`...)
	b = strconv.AppendBool(b, f.BotFailed)
	b = append(b, `,"repeats":`...)
	b = strconv.AppendInt(b, f.Repeats, 10)
	b = append(b, `,"known_share":`...)
	if f.HasKnownShare {
		b = appendNumber(b, f.KnownShare)
	} else {
		b = append(b, "null"...)
	}
	return append(b, '}')
}

// appendNumber writes a finite number in its shortest form and anything else as null, because JSON
// has no NaN.
func appendNumber(b []byte, x float64) []byte {
	if x >= 0 && x < 1 { // nearly all: scores and thresholds with at most 4 decimals
		k := int64(x*scoreSteps + 0.5)
		if float64(k)/scoreSteps == x {
			return appendSteps(b, k)
		}
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, x, 'f', -1, 64)
}

// appendSteps writes k ten-thousandths, below 1, without trailing zeros.
func appendSteps(b []byte, k int64) []byte {
	if k == 0 {
		return append(b, '0')
	}
	b = digits(append(b, "0."...), k, 4)
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

func appendOptional(b []byte, s string) []byte {
	if s == "" {
		return append(b, "null"...)
	}
	return appendString(b, s)
}

func appendOptionalBytes(b, s []byte) []byte {
	if len(s) == 0 {
		return append(b, "null"...)
	}
	return appendBytes(b, s)
}

func appendString(b []byte, s string) []byte { return appendQuoted(b, s) }
func appendBytes(b, s []byte) []byte         { return appendQuoted(b, s) }

const hexDigits = "0123456789abcdef"

// appendQuoted writes s as a JSON string: quotes, backslashes and control characters escaped, bytes
// that are no UTF-8 as U+FFFD, everything else (bidirectional marks too) as it is.
func appendQuoted[T string | []byte](b []byte, s T) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			// At most four bytes are converted, on the stack.
			_, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			if size > 1 {
				i += size
				continue
			}
		}
		b = append(b, s[start:i]...)
		b = appendEscape(b, c)
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(b, '\\', c)
	case c == '\n':
		return append(b, '\\', 'n')
	case c == '\r':
		return append(b, '\\', 'r')
	case c == '\t':
		return append(b, '\\', 't')
	case c < ' ':
		return append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(b, "\uFFFD"...)
}

const (
	dayMS = 24 * 60 * 60 * 1000
	// Instants beyond these have no four-digit year and are printed as the nearest that has one.
	minTimeMS = -62135596800000 // 0001-01-01
	maxTimeMS = 253402300799999 // 9999-12-31
)

// AppendTime appends an instant (milliseconds since 1970) as 2006-01-02T15:04:05.000Z.
func AppendTime(b []byte, ms int64) []byte {
	ms = min(max(ms, minTimeMS), maxTimeMS)
	days := ms / dayMS
	rest := ms % dayMS
	if rest < 0 {
		days, rest = days-1, rest+dayMS
	}
	// Days to civil date, years counted from March so that the leap day ends one; eras of 400 years
	// (the proleptic Gregorian calendar; the constants are days before 1970 and per period).
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day := doy - (153*mp+2)/5 + 1
	month, year := mp+3, yoe+era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	b = digits(b, year, 4)
	b = digits(append(b, '-'), month, 2)
	b = digits(append(b, '-'), day, 2)
	b = digits(append(b, 'T'), rest/3600000, 2)
	b = digits(append(b, ':'), rest/60000%60, 2)
	b = digits(append(b, ':'), rest/1000%60, 2)
	b = digits(append(b, '.'), rest%1000, 3)
	return append(b, 'Z')
}

// digits writes x with 2, 3 or 4 digits, which it must fit into.
func digits(b []byte, x int64, width int) []byte {
	switch width {
	case 4:
		return append(b, byte('0'+x/1000), byte('0'+x/100%10), byte('0'+x/10%10), byte('0'+x%10))
	case 3:
		return append(b, byte('0'+x/100), byte('0'+x/10%10), byte('0'+x%10))
	}
	return append(b, byte('0'+x/10), byte('0'+x%10))
}
