package pipeline

import (
	"usher/features/conversation"
	"usher/pipeline/event"
	"usher/pipeline/route"
	"usher/sinks/clickhouse/schema"
)

// event appends the row of a record that parsed.
func (b *blocks) event(l *Line, r *Result, offset, nowMS int64) {
	ev := r.Event
	row := &l.rows.event
	*row = schema.Event{
		Source: b.at(offset), Dims: dimsOf(r), Cycle: b.cycle(r.Arrival.CycleOffset, r.Arrival.Cycle),
		ID: schema.View(ev.ID), Type: schema.View(ev.TypeName), Time: schema.Instant(ev.TimeMS),
		EventDay: schema.Day(l.zone(schema.View(ev.Tenant)).day(ev.TimeMS)),
		Seq:      schema.Opt[int64]{V: ev.Seq, OK: ev.HasSeq}, ReceivedAt: schema.Instant(nowMS),
		Modality:  schema.View(ev.Modality),
		ActorKind: ev.Actor.Kind.String(), ActorID: schema.View(ev.Actor.ID),
		ActorTeam: schema.View(ev.Actor.Team), ActorRole: schema.View(ev.Actor.Role),
		AIDisclosed: schema.Opt[bool]{V: ev.AIDisclosed, OK: ev.HasAIDisclosed},
		Attrs:       b.attrsOf(ev), Flags: b.flagsOf(r),
		InitiatedBy: schema.View(ev.InitiatedBy), Resolution: ev.Resolution.String(),
		Status: ev.Status.To.String(), StatusUntil: schema.InstantOf(ev.Status.UntilMS),
		Reason: schema.View(ev.Reason), Target: schema.View(ev.Target),
		DecisionID: schema.View(ev.DecisionID), Verdict: schema.View(ev.Verdict),
		TrueLabel: schema.View(ev.TrueLabel), Head: schema.View(ev.Label.Head),
		GivenLabel: schema.View(ev.Label.Name), Annotator: schema.View(ev.Label.Annotator),
		AgentStatus:    schema.View(ev.AgentStatus.Status),
		Capacity:       schema.Opt[int64]{V: ev.AgentStatus.Capacity, OK: ev.AgentStatus.HasCapacity},
		ToConversation: schema.View(ev.ToConversation),
	}
	b.list = b.list[:0]
	row.Kinds = b.strings(ev.Kinds)
	fillMove(row, &ev.Move)
	b.fillMessage(row, r)
	fillRating(row, ev)
	b.events.Append(row)
	if ev.Type == event.TypeLabel || ev.Type == event.TypeFeedback {
		b.label(l, r, offset)
	}
}

// strings turns names into a list that is valid until the next event's row.
func (b *blocks) strings(names [][]byte) []string {
	at := len(b.list)
	for _, n := range names {
		b.list = append(b.list, schema.View(n))
	}
	return b.list[at:len(b.list):len(b.list)]
}

func dimsOf(r *Result) schema.Dims {
	ev := r.Event
	return schema.Dims{
		Tenant: schema.View(ev.Tenant), ConversationID: schema.View(ev.ConversationID),
		Channel: schema.View(ev.Channel), Lang: schema.View(ev.Lang),
		Region: schema.View(ev.Region), Inbox: schema.View(ev.Inbox),
		Source: schema.View(ev.Source), CustomerKey: schema.View(ev.CustomerID),
		Team: r.Arrival.View.Team, Queue: r.Arrival.View.Queue, AgentID: r.Arrival.View.Agent,
		Label: r.label(), Variant: r.variant(),
	}
}

func fillMove(row *schema.Event, m *event.Move) {
	row.ToAgent, row.ToTeam = schema.View(m.To.Agent), schema.View(m.To.Team)
	row.ToRole, row.ToQueue = schema.View(m.To.Role), schema.View(m.To.Queue)
	row.FromAgent, row.FromTeam = schema.View(m.From.Agent), schema.View(m.From.Team)
	row.FromRole, row.FromQueue = schema.View(m.From.Role), schema.View(m.From.Queue)
	row.MovedBy, row.EscalateQueue = schema.View(m.By), schema.View(m.Queue)
}

func (b *blocks) fillMessage(row *schema.Event, r *Result) {
	ev := r.Event
	if ev.Type != event.TypeMessage && ev.Type != event.TypeBotAnswer {
		return
	}
	m := &ev.Message
	row.Text = schema.View(r.StoredText)
	row.TextLen = uint32(r.TextLen)
	row.TextHash = schema.View(m.TextHash)
	row.Public = schema.Some(m.Public)
	row.Automated, row.Echo = m.Automated, m.Echo
	row.TemplateID, row.Media = schema.View(m.TemplateID), schema.View(m.Media)
	row.Intent = schema.View(m.Intent)
	row.Confidence = schema.Opt[float64]{V: m.Confidence, OK: m.HasConfidence}
	row.KBIDs = b.strings(m.KBIDs)
	row.Fallback, row.Greeting = m.Fallback, m.Greeting
}

func fillRating(row *schema.Event, ev *event.Event) {
	switch ev.Type {
	case event.TypeCSAT:
		row.CSATScore = schema.Opt[float64]{V: ev.CSAT.Score, OK: ev.CSAT.HasScore}
		row.CSATScale = schema.Opt[float64]{V: ev.CSAT.Scale, OK: ev.CSAT.HasScore}
		row.CSATAsked = schema.Some(ev.CSAT.Asked)
	case event.TypeOutcome:
		row.OutcomeKind = ev.Outcome.Kind.String()
		row.OutcomeValue = schema.Opt[float64]{V: ev.Outcome.Value, OK: ev.Outcome.HasValue}
		row.OutcomeCurrency = schema.View(ev.Outcome.Currency)
	}
}

func (b *blocks) attrsOf(ev *event.Event) []schema.Pair {
	b.attrs = b.attrs[:0]
	for _, a := range ev.Attrs {
		b.attrs = append(b.attrs, schema.Pair{Key: schema.View(a.Key), Value: schema.View(a.Value)})
	}
	return b.attrs
}

func (b *blocks) flagsOf(r *Result) []string {
	b.flags = b.flags[:0]
	add := func(on bool, name string) {
		if on {
			b.flags = append(b.flags, name)
		}
	}
	f := r.Arrival.Flags
	add(f&conversation.FlagLate != 0, schema.FlagLate)
	add(f&conversation.FlagDuplicate != 0, schema.FlagDuplicate)
	add(r.Misplaced, schema.FlagMisplaced)
	add(r.Truncated, schema.FlagTruncated)
	add(f&conversation.FlagClockSkew != 0, schema.FlagClockSkew)
	add(f&conversation.FlagClockAhead != 0, schema.FlagClockAhead)
	add(r.Event.Type == event.Unknown, schema.FlagUnknownType)
	add(f&conversation.FlagRetired != 0, schema.FlagRetired)
	return b.flags
}

func (b *blocks) label(l *Line, r *Result, offset int64) {
	ev := r.Event
	row := schema.LabelRow{
		Source: b.at(offset), Dims: dimsOf(r), Cycle: b.cycle(r.Arrival.CycleOffset, r.Arrival.Cycle),
		Time: schema.Instant(ev.TimeMS), LabeledDay: schema.Day(l.zone(schema.View(ev.Tenant)).day(ev.TimeMS)),
		Type: schema.View(ev.TypeName), Target: schema.View(ev.Target),
		DecisionID: schema.View(ev.DecisionID), Head: schema.View(ev.Label.Head),
		Given: schema.View(ev.Label.Name), Predicted: r.Arrival.View.PrevLabel,
		Verdict: schema.View(ev.Verdict), Annotator: schema.View(ev.Label.Annotator),
	}
	if ev.Type == event.TypeFeedback {
		row.Given = schema.View(ev.TrueLabel)
	}
	b.labels.Append(&row)
}

// decision appends the row of the decision on r's event.
func (b *blocks) decision(l *Line, r *Result, offset int64) {
	d := r.Decision
	row := &l.rows.decision
	known := d.Label != ""
	opt := func(v float64) schema.Opt[float64] { return schema.Opt[float64]{V: v, OK: known} }
	*row = schema.Decision{
		Source: b.at(offset), Dims: dimsOf(r), Cycle: b.cycle(r.Arrival.CycleOffset, r.Arrival.Cycle),
		ID: b.hexID(d.ID), Time: schema.Instant(d.TimeMS),
		TriggerEventID: schema.View(d.Trigger.EventID), TriggerTopic: d.Trigger.Topic,
		TriggerPartition: d.Trigger.Partition, TriggerOffset: d.Trigger.Offset,
		ModelName: d.Model.Name, ModelVersion: d.Model.Version, ModelChecksum: d.Model.Checksum,
		ModelVariant: d.Model.Variant,
		Score:        opt(d.Score), Margin: opt(d.Margin), Scope: opt(d.Scope),
		Band: d.Band.String(), BandReason: d.BandReason.String(),
		ThresholdsSuggest: schema.Some(d.Thresholds.Suggest),
		ThresholdsAuto:    schema.Some(d.Thresholds.Auto),
		SentimentLabel:    d.Sentiment.ID,
		SentimentScore:    schema.Opt[float64]{V: d.Sentiment.Score, OK: d.Sentiment.ID != ""},
		UrgencyLabel:      d.Urgency.ID,
		UrgencyScore:      schema.Opt[float64]{V: d.Urgency.Score, OK: d.Urgency.ID != ""},
		Escalate:          d.Escalate, Priority: d.Priority, RuleID: d.Rule.ID, RuleSet: d.Rule.Set,
		RouteQueue: d.Route.Queue, RouteRole: d.Route.Role, RouteAgent: d.Route.Agent,
		RouteService: d.Route.Service, RouteScript: d.Route.Script,
		RecommendedAction: d.Action.String(),
		SLAPolicy:         d.SLA.Policy, SLAFirstReplyDue: schema.InstantOf(d.SLA.FirstReplyDueMS),
		EmittedAt: schema.Instant(d.EmittedAtMS), LatencyUS: d.LatencyUS, Acted: r.Executed,
		DecidedDay: schema.Day(l.zone(schema.View(d.Tenant)).day(d.TimeMS)),
	}
	if d.Model.Name != "" {
		row.ModelMode = d.Model.Mode.String()
	}
	row.Lang = schema.View(d.Lang) // the producer's, else what the message reads like
	b.fillLists(row, d)
	fillFeatures(row, &d.Features)
	b.decisions.Append(row)
}

func (b *blocks) fillLists(row *schema.Decision, d *route.Decision) {
	b.list, b.kinds, b.nums = b.list[:0], b.kinds[:0], b.nums[:0]
	for _, s := range d.Suggestions {
		b.list = append(b.list, s.ID)
		b.kinds = append(b.kinds, s.Kind)
		b.nums = append(b.nums, s.Score)
	}
	row.SuggestionsID, row.SuggestionsKind, row.SuggestionsScore = b.list, b.kinds, b.nums
	b.flags = b.flags[:0]
	for _, a := range d.Actions {
		b.flags = append(b.flags, a.Do)
	}
	row.Actions = b.flags
}

func fillFeatures(row *schema.Decision, f *route.Features) {
	row.FeaturesTurn = schema.Some(uint32(f.Turn))
	row.FeaturesWaitingMS = schema.Some(f.WaitingMS)
	row.FeaturesBusinessHours = schema.Opt[bool]{
		V: f.BusinessHours == route.Yes, OK: f.BusinessHours != route.Unknown,
	}
	row.FeaturesPrevLabel = f.PrevLabel
	row.FeaturesBotFailed = schema.Some(f.BotFailed)
	row.FeaturesRepeats = schema.Some(uint32(f.Repeats))
	row.FeaturesKnownShare = schema.Opt[float64]{V: f.KnownShare, OK: f.HasKnownShare}
}
