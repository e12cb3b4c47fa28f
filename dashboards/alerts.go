package dashboards

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// Severities of alerts: a page wakes somebody, a ticket waits for the morning.
const (
	paging = "page"
	ticket = "ticket"
)

// alert is one rule: a query whose rows are instances, and from which value on they fire.
type alert struct {
	uid, title, severity string
	board, panel         string // which panel shows the same number
	section              string // of docs/operations.md
	summary              string
	sql                  string
	rangeS               int64 // how far back the query looks, in seconds
	below                bool  // fires below the threshold instead of above it
	threshold            float64
	lasting              string // how long it must hold
}

const (
	minuteS = int64(60)
	hourS   = 60 * minuteS
	dayS    = 24 * hourS
)

// Burn rates that can fire: a budget of 20 % burns at most five times as fast as agreed, one of
// 0.1 % a thousand times (Google SRE workbook, multiwindow burn rates).
const (
	burnFast, burnSlow                 = 2, 1.2
	pipelineBurnFast, pipelineBurnSlow = 14.4, 6
)

func alerts() []alert {
	return append(serviceAlerts(), pipelineAlerts()...)
}

func serviceAlerts() []alert {
	return []alert{
		{uid: "usher-first-reply", title: "First replies are slow", severity: ticket,
			board: "usher-service", panel: "First reply, 90 % within", section: "first-replies-are-slow",
			summary: "{{ $labels.tenant }}, {{ $labels.channel }}: nine of ten first replies of the last " +
				"hour took up to {{ humanize $values.A.Value }} ms",
			sql: slowChannelSQL(), rangeS: hourS, threshold: slowReplyTarget.good, lasting: "10m"},
		{uid: "usher-burn-fast", title: "Service level burns fast", severity: paging,
			board: "usher-service", panel: "Answered within 3 min", section: "the-service-level-burns",
			summary: "{{ $labels.tenant }}: the service level is missed {{ humanize $values.A.Value }} " +
				"times as often as agreed, in the last hour and quarter of an hour",
			sql: fastBurnSQL(), rangeS: hourS, threshold: burnFast, lasting: "2m"},
		{uid: "usher-burn-slow", title: "Service level burns slowly", severity: ticket,
			board: "usher-service", panel: "Answered within 3 min", section: "the-service-level-burns",
			summary: "{{ $labels.tenant }}: the service level is missed {{ humanize $values.A.Value }} " +
				"times as often as agreed, over six hours",
			sql: slowBurnSQL(), rangeS: 6 * hourS, threshold: burnSlow, lasting: "15m"},
		{uid: "usher-oldest-wait", title: "A customer waits too long", severity: paging,
			board: "usher-service", panel: "Oldest wait", section: "a-customer-waits-too-long",
			summary: "{{ $labels.tenant }}: a customer has waited for {{ humanize $values.A.Value }} ms",
			sql:     oldestWaitAlertSQL(), rangeS: dayS, threshold: oldestWaitTarget.bad, lasting: "2m"},
		{uid: "usher-escalations", title: "Escalations have doubled", severity: ticket,
			board: "usher-routing", panel: "Escalated by bots", section: "escalations-have-doubled",
			summary: "{{ $labels.tenant }}: bots hand over {{ humanize $values.A.Value }} times as often " +
				"as in the same hour of last week",
			sql: escalationJumpSQL(), rangeS: hourS, threshold: 2, lasting: "10m"},
		{uid: "usher-precision", title: "Acting alone is wrong too often", severity: ticket,
			board: "usher-routing", panel: "Right when alone", section: "acting-alone-is-wrong-too-often",
			summary: "{{ $labels.tenant }}: {{ humanizePercentage $values.A.Value }} of what usher decided " +
				"alone was right",
			sql: precisionAlertSQL(), rangeS: 7 * dayS, below: true, threshold: precisionTarget.good,
			lasting: "0s"},
		{uid: "usher-silent", title: "A tenant has fallen silent", severity: ticket,
			board: "usher-pipeline", panel: "Events in by type", section: "a-tenant-has-fallen-silent",
			summary: "{{ $labels.tenant }}: no event for 15 minutes, at a time when there always were some",
			sql:     silentSQL(), rangeS: 15 * minuteS, threshold: 0, lasting: "0s"},
	}
}

func pipelineAlerts() []alert {
	return []alert{
		{uid: "usher-balance", title: "Something is missing or doubled", severity: paging,
			board: "usher-pipeline", panel: "Missing or doubled", section: "the-balance-does-not-hold",
			summary: "{{ humanize $values.A.Value }} offsets or rows are missing or doubled",
			sql:     balanceAlertSQL(), rangeS: hourS, threshold: balanceTarget.good, lasting: "0s"},
		{uid: "usher-audit", title: "No audit has been made", severity: paging,
			board: "usher-pipeline", panel: "Audits", section: "the-audit-cannot-count",
			summary: "The last audit was made {{ humanizeDuration $values.A.Value }} ago",
			sql:     auditAlertSQL(), rangeS: dayS, threshold: float64(15 * minuteS), lasting: "0s"},
		{uid: "usher-lag", title: "usher is behind", severity: paging,
			board: "usher-pipeline", panel: "Behind", section: "usher-is-behind",
			summary: "{{ $labels.group }}: the oldest record has waited for " +
				"{{ humanizeDuration $values.A.Value }}",
			sql: lagAlertSQL(), rangeS: 5 * minuteS, threshold: lagTarget.good, lasting: "2m"},
		{uid: "usher-rejected", title: "Records are rejected", severity: ticket,
			board: "usher-pipeline", panel: "Rejected", section: "dead-letters-rise",
			summary: "{{ humanizePercentage $values.A.Value }} of the records of the last hour were rejected",
			sql:     rejectedAlertSQL(), rangeS: hourS, threshold: rejectedTarget.good, lasting: "5m"},
		{uid: "usher-queryable-fast", title: "Events become queryable late", severity: ticket,
			board: "usher-pipeline", panel: "Queryable, 99 % within", section: "events-become-queryable-late",
			summary: "Events take over 5 s {{ humanize $values.A.Value }} times as often as agreed, in the " +
				"last hour and five minutes",
			sql: queryableBurnSQL(5), rangeS: hourS, threshold: pipelineBurnFast, lasting: "2m"},
		{uid: "usher-queryable-slow", title: "Events often become queryable late", severity: ticket,
			board: "usher-pipeline", panel: "Queryable, 99 % within", section: "events-become-queryable-late",
			summary: "Events take over 5 s {{ humanize $values.A.Value }} times as often as agreed, over six " +
				"hours",
			sql: queryableBurnSQL(30), rangeS: 6 * hourS, threshold: pipelineBurnSlow, lasting: "15m"},
	}
}

// alertFile is Grafana's file format for alert rules, which differs from its API's.
type alertFile struct {
	APIVersion int          `json:"apiVersion"`
	Groups     []alertGroup `json:"groups"`
}

type alertGroup struct {
	OrgID    int         `json:"orgId"`
	Name     string      `json:"name"`
	Folder   string      `json:"folder"`
	Interval string      `json:"interval"`
	Rules    []alertRule `json:"rules"`
}

type alertRule struct {
	UID          string            `json:"uid"`
	Title        string            `json:"title"`
	Condition    string            `json:"condition"`
	Data         []alertQuery      `json:"data"`
	DashboardUID string            `json:"dashboardUid"`
	PanelID      uint32            `json:"panelId"`
	NoDataState  string            `json:"noDataState"`
	ExecErrState string            `json:"execErrState"`
	For          string            `json:"for"`
	Annotations  map[string]string `json:"annotations"`
	Labels       map[string]string `json:"labels"`
}

type alertQuery struct {
	RefID         string         `json:"refId"`
	DatasourceUID string         `json:"datasourceUid"`
	Range         alertRange     `json:"relativeTimeRange"`
	Model         map[string]any `json:"model"`
}

type alertRange struct {
	From int64 `json:"from"` // seconds before now
	To   int64 `json:"to"`
}

// DatasourceUID is the data source that the provisioning files make; alerts know no variables.
const DatasourceUID = "usher-clickhouse"

// literal keeps Grafana from taking $ for a variable of its environment.
func literal(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// rule is the alert as Grafana reads it. A query without rows is silence, not an alarm: minimum
// counts are in the queries. A query that fails is an alarm of its own.
func (a alert) rule(panelID uint32) alertRule {
	comparison := "gt"
	if a.below {
		comparison = "lt"
	}
	return alertRule{
		UID: a.uid, Title: a.title, Condition: "C", DashboardUID: a.board, PanelID: panelID,
		NoDataState: "OK", ExecErrState: "Error", For: a.lasting,
		Labels: map[string]string{"severity": a.severity, "service": "usher"},
		Annotations: map[string]string{
			"summary": literal(a.summary), "runbook_url": "${USHER_RUNBOOK}#" + a.section,
		},
		Data: []alertQuery{
			{RefID: "A", DatasourceUID: DatasourceUID, Range: alertRange{From: a.rangeS}, Model: map[string]any{
				"refId": "A", "editorType": "sql", "format": FormatTable, "rawSql": literal(a.sql),
				"datasource": map[string]string{"type": PluginID, "uid": DatasourceUID},
			}},
			{RefID: "C", DatasourceUID: "__expr__", Model: map[string]any{
				"refId": "C", "type": "threshold", "expression": "A",
				"datasource": map[string]string{"type": "__expr__", "uid": "__expr__"},
				"conditions": []map[string]any{{"evaluator": map[string]any{"type": comparison,
					"params": []float64{a.threshold}}}},
			}},
		},
	}
}

// Alerts is the provisioning file of the alert rules. Grafana fills in USHER_RUNBOOK, the address of
// docs/operations.md, from its environment.
func Alerts() ([]byte, error) {
	ids := map[string]uint32{}
	for _, build := range builders() {
		d, err := build()
		if err != nil {
			return nil, err
		}
		for _, p := range d.Panels {
			ids[*d.Uid+"/"+*p.Panel.Title] = *p.Panel.Id
		}
	}
	group := alertGroup{OrgID: 1, Name: "usher", Folder: "usher", Interval: "1m"}
	for _, a := range alerts() {
		id, ok := ids[a.board+"/"+a.panel]
		if !ok {
			return nil, fmt.Errorf("cannot link alert %s: board %s has no panel %q", a.uid, a.board, a.panel)
		}
		group.Rules = append(group.Rules, a.rule(id))
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(alertFile{APIVersion: 1, Groups: []alertGroup{group}}); err != nil {
		return nil, fmt.Errorf("cannot encode the alert rules: %w", err)
	}
	return out.Bytes(), nil
}
