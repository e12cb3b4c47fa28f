package dashboards

import "fmt"

// Targets of the quality board.
var (
	satisfactionTarget = target{good: 0.8, bad: 0.6}
	missedTurnsTarget  = target{good: 0.03, bad: 0.12}
)

// agentMin is how many facts an agent needs before a figure is shown: below it chance would speak.
const agentMin = 20

func agentFigures() []figure {
	return []figure{
		{"replies", firstReplyHuman, "toFloat64(count())", ""},
		{"first reply, half", firstReplyHuman, quantile(0.5), ""},
		{"next reply, half", nextReplyHuman, quantile(0.5), ""},
		{"handle time, half", handleTime, quantile(0.5), ""},
		{"one touch", oneTouch, rate, ""},
		{"reopened", reopened, rate, ""},
		{"passed on", reassigned, rate, ""},
		{"satisfied", satisfaction, rate, ""},
	}
}

// agentsSQL has a row per agent; a figure of fewer than agentMin facts is NULL.
func agentsSQL() string {
	figures := agentFigures()
	sql := "SELECT\n  name AS agent"
	for i, f := range figures {
		sql += fmt.Sprintf(",\n  anyIf(v, f = %d) AS \"%s\"", i, f.name)
	}
	sql += "\nFROM (\n  "
	for i, f := range figures {
		if i > 0 {
			sql += "\n  UNION ALL\n  "
		}
		enough := fmt.Sprintf("if(count() < %d, NULL, toNullable(toFloat64(%s)))", agentMin, f.aggregate)
		if i == 0 {
			enough = "toNullable(" + f.aggregate + ")"
		}
		sql += fmt.Sprintf("SELECT %s AS name, %d AS f, %s AS v\n  FROM kpi_%s\n  WHERE %s "+
			"AND agent_id != ''\n    AND %s\n  GROUP BY name", pseudonym, i, enough, f.view, inRange,
			indented(filters(), "    "))
	}
	return sql + "\n)\nGROUP BY name\nORDER BY replies DESC, name\nLIMIT 100"
}

func satisfactionSQL() string {
	return comparison{view: satisfaction, aggregate: rate, unit: unitShare,
		target: satisfactionTarget, words: "80 %", count: "sum(den)"}.sql()
}

// judgedTenants leaves out tenants that never say when a conversation ends: none of their waits can
// end unanswered, so that their share would always be 0 %.
const judgedTenants = "tenant IN (SELECT tenant FROM kpi_missed WHERE " + inRange + " OR " +
	weekBefore + ")"

func missedTurnsSQL() string {
	return comparison{view: missedMessages, where: judgedTenants, aggregate: rate, unit: unitShare,
		target: missedTurnsTarget, words: "3 %"}.sql()
}

func lowestSQL() string {
	return "SELECT\n  counted_at AS \"rated at\",\n  value AS score,\n  tenant,\n  channel,\n" +
		"  queue,\n  " + pseudonym + " AS agent,\n  " + drillKey() + "\nFROM kpi_" + satisfaction +
		"\nWHERE " + inRange + " AND num = 0\n  AND " + filters() +
		"\nORDER BY value, counted_at DESC, conversation_id\nLIMIT 20"
}

func unansweredListSQL() string {
	return "SELECT\n  started_at AS \"opened at\",\n  tenant,\n  channel,\n  queue,\n" +
		"  lang AS language,\n  " + drillKey() + "\nFROM kpi_" + missed + "\nWHERE " + inRange +
		" AND num = 1\n  AND " + filters() + "\nORDER BY started_at DESC, conversation_id\nLIMIT 20"
}
