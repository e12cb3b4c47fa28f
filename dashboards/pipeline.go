package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

const unitBytes = "bytes"

// Pipeline builds the board of whoever keeps usher running: is anything lost, late or rejected.
func Pipeline() (dashboard.Dashboard, error) {
	b := page("usher-pipeline", "usher: pipeline", "Whether every event arrived once, how far behind "+
		"the processes are, and what was rejected.").
		Variables(variables()).
		Time("now-6h", "now")
	return arrange(b, []line{
		even(6, balanceNumber(), lagNumber(), queryableNumber(), eventsNumber(), rejectedNumber(),
			openNumber()),
		even(9, eventsTrend(), rejectedTrend()),
		even(9, lagTrend("usher_lag_seconds"), lagTrend("usher_lag_records"), queryableTrend()),
		even(9, insertTimeTrend(), rowsTrend(), memoryTrend()),
		even(9, flagsTrend(), correctionsTrend()),
		even(9, audits()),
		even(9, journal(), parts()),
	})
}

func balanceNumber() *stat.PanelBuilder {
	return number(words{"Missing or doubled", "Offsets and rows that the audits of the range could " +
		"not account for: in − written − rejected − declared gaps, and what is there twice. It must " +
		"be 0; any other value pages.", []string{balance}, unitCount}, target{}, 0, balanceSQL()).
		GraphMode(common.BigValueGraphModeNone).
		Thresholds(balanceTarget.steps())
}

func lagNumber() *stat.PanelBuilder {
	return number(words{"Behind", "How long the oldest record that a group has not processed yet has " +
		"waited in Kafka. Over 1 minute an alert pages.", []string{lag}, unitSeconds}, lagTarget, 0,
		lagNumberSQL()).GraphMode(common.BigValueGraphModeNone)
}

func queryableNumber() *stat.PanelBuilder {
	return number(words{"Queryable, 99 % within", "From reading an event to the insert that stored " +
		"it. Target: 5 seconds.", []string{queryable}, unitMS}, queryableTarget, 1,
		queryableNumberSQL()).GraphMode(common.BigValueGraphModeNone)
}

func eventsNumber() *stat.PanelBuilder {
	return number(words{"Events in", "How many events came in the range.", []string{eventsIn},
		unitCount}, target{}, 0, eventsNumberSQL()).
		ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"sum"}).Fields(""))
}

func rejectedNumber() *stat.PanelBuilder {
	return number(words{"Rejected", "Share of records that were no events and went to the dead " +
		"letters. Target: 0.1 %.", []string{rejected}, unitShare}, rejectedTarget, 2,
		rejectedNumberSQL()).GraphMode(common.BigValueGraphModeNone)
}

func openNumber() *stat.PanelBuilder {
	return number(words{"Open conversations", "Conversations of the last 90 days that nobody has " +
		"closed. Inactivity closes none.", []string{openCycles}, unitCount}, target{}, 0,
		openNumberSQL()).GraphMode(common.BigValueGraphModeNone)
}

// byName is a stack with one colour per name of the query's second column.
func byName(w words, sql string) *timeseries.PanelBuilder {
	return stacked(w, common.StackingModeNormal).
		Interval("10s").
		DisplayName("${__field.labels.name}").
		WithTarget(query("A", FormatTimeSeries, sql))
}

func eventsTrend() *timeseries.PanelBuilder {
	return byName(words{"Events in by type", "Stacked bars by when they arrived, one colour per type.",
		[]string{eventsIn}, unitCount}, eventsByTypeSQL())
}

func rejectedTrend() *timeseries.PanelBuilder {
	return byName(words{"Rejected by code", "Dead letters by when they arrived, one colour per reason. " +
		"Empty is good.", []string{rejected}, unitCount}, rejectedByCodeSQL()).
		NoValue("none in this range")
}

func lagTrend(metric string) *timeseries.PanelBuilder {
	w := words{"Behind, in time", "How long the oldest unprocessed record has waited: usher.router " +
		"decides, usher.sink stores. The dashed line is where the alert pages.", []string{lag},
		unitSeconds}
	if metric == "usher_lag_records" {
		w = words{"Behind, in records", "How many records wait in Kafka: usher.router decides, " +
			"usher.sink stores.", []string{lag}, unitCount}
	}
	b := trend(w).
		Interval("10s").
		DisplayName("${__field.labels.series}").
		WithTarget(query("A", FormatTimeSeries, lagSQL(metric)))
	if metric == "usher_lag_records" {
		return b
	}
	return dashed(b, lagTarget)
}

func queryableTrend() *timeseries.PanelBuilder {
	return dashed(trend(words{"From event to queryable", "From reading an event to the insert that " +
		"stored it, by when it arrived. The dashed line is the target of 5 seconds.",
		[]string{queryable}, unitMS}), queryableTarget).
		Interval("10s").
		WithTarget(query("A", FormatTimeSeries, queryableSQL()))
}

func insertTimeTrend() *timeseries.PanelBuilder {
	return trend(words{"Time of an insert", "Mean time that ClickHouse took for one insert. A steady " +
		"rise says that its disk or its merges are at their end.", []string{inserts}, unitSeconds}).
		Interval("30s").
		WithTarget(query("A", FormatTimeSeries, insertTimeSQL()))
}

func rowsTrend() *timeseries.PanelBuilder {
	return trend(words{"Rows of an insert", "Mean number of rows in one insert. Few rows and a growing " +
		"lag say that inserts are too small.", []string{inserts}, unitCount}).
		Interval("30s").
		WithTarget(query("A", FormatTimeSeries, rowsPerInsertSQL()))
}

func memoryTrend() *timeseries.PanelBuilder {
	return trend(words{"Memory of each process", "Go's heap, and what the system has given the process " +
		"in all.", []string{memory}, unitBytes}).
		Interval("10s").
		DisplayName("${__field.labels.series}").
		WithTarget(query("A", FormatTimeSeries, memorySQL()))
}

func flagsTrend() *timeseries.PanelBuilder {
	return byName(words{"Late, doubled, misplaced", "Events with a flag, by when they arrived. " +
		"misplaced asks for mending: a producer's partitioner is wrong.", []string{flagged}, unitCount},
		flagsSQL()).
		NoValue("none in this range")
}

func correctionsTrend() *timeseries.PanelBuilder {
	return byName(words{"Facts corrected afterwards", "Late events change what was written before; the " +
		"views show the newest. One colour per kind of fact.", []string{"corrections"}, unitCount},
		correctionsSQL()).
		NoValue("none in this range")
}

func audits() *table.PanelBuilder {
	b := listing(words{"Audits", "What each audit counted, those that do not hold first: input are " +
		"the offsets of the events' topics, rows what ClickHouse holds of the rows topic.",
		[]string{balance}, unitText}, auditsSQL())
	units(b, unitTime, 0, "audited at")
	units(b, unitCount, 0, "partition", "stored", "dead", "gaps", "missing", "duplicated")
	return b
}

func journal() *table.PanelBuilder {
	b := listing(words{"Journal", "The latest twenty entries: models loaded and refused, time-outs, " +
		"acceptances.", []string{journalled}, unitText}, journalSQL())
	units(b, unitTime, 0, "when")
	return b
}

func parts() *table.PanelBuilder {
	b := listing(words{"Tables on disk", "Active parts of each table; over 300 in one partition " +
		"ClickHouse slows inserts down.", []string{partsOf}, unitText}, partsSQL())
	units(b, unitCount, 0, "parts", "partitions", "rows")
	units(b, unitBytes, 1, "on disk")
	return b
}
