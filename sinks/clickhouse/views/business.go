package views

// business is the twin of a KPI in business time: the same facts, another measure.
func business(k KPI, value string) KPI {
	k.Name += "_business"
	k.value = value
	if k.where != "" {
		k.where += " AND "
	}
	k.where += value + " IS NOT NULL"
	k.extra = append(append([]string{}, k.extra...), "calendar_version")
	k.Definition = "In business time: " + k.Definition
	k.Formula = "open time of the calendar within " + k.Formula
	k.Source = "Zendesk, Intercom office hours; " + k.Source
	k.EdgeCases = "a reply out of hours to a message out of hours counts 0; without a calendar all " +
		"time is business time; the calendar in force at the start counts"
	k.Example = "hours 9 to 17, question Friday 16:30, reply Monday 9:30: 3600000"
	return k
}

// businessKPIs are the twins that CONTRACT section 4 names.
func businessKPIs() []KPI {
	values := map[string]string{
		"first_reply_any":           "business_first_reply_any_ms",
		"first_reply_human":         "business_first_reply_human_ms",
		"first_reply_after_handoff": "business_first_reply_after_handoff_ms",
		"next_reply":                "business_wait_ms",
		"next_reply_human":          "business_wait_ms",
		"requester_wait":            "business_requester_wait_ms",
		"handoff_wait":              "business_wait_ms",
	}
	var out []KPI
	for _, group := range [][]KPI{replyKPIs(), lengthKPIs()} {
		for _, k := range group {
			if value, ok := values[k.Name]; ok {
				out = append(out, business(k, value))
			}
		}
	}
	return out
}
