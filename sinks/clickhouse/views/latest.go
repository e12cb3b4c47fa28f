package views

import "usher/sinks/clickhouse/schema"

// latestView is a <table>_latest: what analysts read instead of the table.
type latestView struct{ name, sql, about string }

// signed shows the facts of a table with sign that hold now. A correction writes the old fact with
// sign −1 and the new one with +1 under one new revision, so a fact holds when no −1 of its identity
// has a later revision. Corrections are few: the right side of the join is small, only it is hashed,
// and a condition on any column reaches the left side's scan.
func signed(table, identity string) string {
	return `SELECT t.*
FROM ` + table + ` AS t
LEFT JOIN (
    SELECT ` + identity + `, max(revision) AS undone
    FROM ` + table + `
    WHERE sign = -1
    GROUP BY ` + identity + `
) AS c USING (` + identity + `)
WHERE t.sign = 1 AND t.revision >= ifNull(c.undone, 0)`
}

const (
	byWait  = "tenant, conversation_id, _src_topic_id, _src_partition, since_offset"
	byCycle = "tenant, conversation_id, cycle_id"

	byPromise = byWait + ", metric, status"
)

func latest() []latestView {
	of := func(table, identity string) latestView {
		return latestView{
			table + "_latest", signed(table, identity),
			table + " as they are known now: without what a correction took back",
		}
	}
	return []latestView{
		{
			schema.TableConversations + "_latest",
			`SELECT *
FROM conversations FINAL
WHERE gone = 0
SETTINGS do_not_merge_across_partitions_select_final = 1`,
			"cycles as they are known now, without ids that have ceased to exist",
		},
		of(schema.TableTurns, byWait),
		of(schema.TableTurnsHuman, byWait),
		of(schema.TableEscalations, byWait),
		of(schema.TableSLA, byPromise),
		of(schema.TableVoids, byCycle),
		{
			// Without an alias servers before 26.7 take the word COMMENT that follows for one.
			schema.TableCorrections + "_latest", "SELECT *\nFROM corrections AS corrections",
			"corrections are never corrected: the table itself",
		},
	}
}
