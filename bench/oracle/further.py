"""The recount of what goes beyond the cycles themselves: decisions and what was said of them, promises,
agents' days, estimates, duplicates."""
import collections, types

import oracle
from settings import DAY, length

METRICS = ("first_reply", "next_reply", "requester_wait", "time_to_close")
OFFLINE = ("offline", "away", "logged_out", "invisible")


def one(e):
    """A fact of a single event instead of a cycle."""
    return types.SimpleNamespace(opener=e)


def count(facts, kept, rows, statuses, out, sent):
    """out holds the ids (of Python) of the events whose cycles are in no KPI."""
    decided = [e for e in rows if e.side == "customer" and not e.resent and id(e) not in out]
    count_decisions(facts, decided, rows)
    count_estimates(facts, decided)
    for e in rows + statuses:
        if id(e) not in out:
            facts.rate("duplicates", one(e), e.time, e.time, 1, e.resent)
    for c in kept:
        count_promises(facts, c)
    count_days(facts, kept, statuses)


# ---- decisions -----------------------------------------------------------------------------------

def count_decisions(facts, decided, rows):
    judged, by_id, moved = collections.defaultdict(list), collections.defaultdict(list), \
        collections.defaultdict(list)
    for e in rows:
        if e.type in ("label", "feedback"):
            if e.body.get("decision_id"):
                by_id[e.tenant, e.body["decision_id"]].append(e)
            elif e.body.get("target"):
                judged[e.tenant, e.conversation, e.body["target"]].append(e)
        if e.type in ("assign", "transfer") and not e.resent:
            moved[e.tenant, e.conversation].append(e)
    for e in decided:
        d = e.decision
        if d is None:
            facts.add("decision_bands", one(e), e.time, e.time, 1, None, None, None, "no decision")
            continue
        facts.rate("decision_bands", one(e), e.time, e.time, 1, d.band == "auto", d.score, d.band)
        said = [x for x in judged[e.tenant, e.conversation, e.id] + by_id[e.tenant, d.id]
                if x.body.get("head", "") in ("", d.model)]
        given = lambda x: x.body.get("label") or x.body.get("true_label") or ""
        true = [x for x in said if given(x)]
        if true and d.label is not None:
            last = min(true, key=lambda x: (-x.time, given(x)))
            hit = given(last) in d.suggestions or d.band == "auto" and given(last) == d.label
            facts.rate("top3_hit", one(e), last.time, e.time, 1, hit, None, f"{d.band},{given(last)}")
        if d.acted and d.band == "auto" and e.time + DAY <= oracle.NOW:
            against = [x.time for x in said if x.body.get("verdict") == "rejected" or
                       given(x) and given(x) != d.label]
            after = sorted((x.time, x.id, x) for x in moved[e.tenant, e.conversation]
                           if e.time <= x.time <= e.time + DAY)
            if after and elsewhere(after[0][2], d):
                against.append(after[0][0])
            facts.rate("auto_precision", one(e), min(against, default=e.time + DAY), e.time, 1,
                       not against)


def elsewhere(move, d):
    to, role = move.to.get("queue") or move.to.get("team") or "", move.to.get("role") or ""
    return bool(to) and to != d.queue or bool(role) and role != d.role


def count_estimates(facts, decided):
    minutes = facts.known.estimates.get("triage_minutes")
    for e in decided:
        if minutes and e.decision and e.decision.acted and e.decision.band == "auto":
            facts.value("triage_minutes", one(e), e.time, e.time, 1, float(minutes))
    cost = facts.known.estimates.get("cost_per_contact")
    for row, n in list(facts.rows.items()) if cost else ():
        if row[0] == "containment" and row[7] == 1:
            facts.rows[("savings",) + row[1:7] + (None, None, float(cost["value"]), cost["currency"])] += n


# ---- promises ------------------------------------------------------------------------------------

def policy_of(known, c):
    channel = (oracle.first(c.all, lambda e: e.channel) or c.opener).channel
    for p in known.policies:
        when = p.get("when", {})
        if c.opener.tenant in when.get("tenant", [c.opener.tenant]) and \
                channel in when.get("channel", [channel]):
            return p
    return None


def count_promises(facts, c):
    policy = policy_of(facts.known, c)
    if policy is None:
        return
    ended = [w for w in oracle.waits(c, False) if w[2] != "none"]
    last = [e for e in c.inside if e.side == "customer"]
    end = c.end.time if c.end else None
    # (metric, begun, spans in which it may run, end, met when in time)
    todo = [("time_to_close", c.opener.time, [(c.opener.time, end)], end, True)]
    runs = [(w[0].time, w[1]) for w in ended]
    open_wait = unended(c)
    if open_wait:
        runs.append((open_wait.time, None))
    if runs:
        todo.append(("requester_wait", runs[0][0], runs, end, True))
    for i, (a, b) in enumerate(runs):
        by = ended[i][2] if i < len(ended) else ""
        first = ended[i][5] if i < len(ended) else i == 0
        todo.append(("first_reply" if first else "next_reply", a, [(a, b)], b, by != "close"))
    for metric, begun, spans, until, answered in todo:
        target = length(policy.get(metric))
        if target:
            promise(facts, c, policy, metric, begun, spans, until, answered, target)


def unended(c):
    """The event that began the wait which still runs, judged or not."""
    if c.end:
        return None
    out, passed = None, {id(h[0]) for h in oracle.handoffs(c)}
    held = False
    for e in c.inside:
        if e.side == "agent" or e.side == "bot" and e.reply and not held:
            out, held = None, False
        if out is None and (e.side == "customer" or id(e) in passed):
            out = e
        held = held or id(e) in passed
    return out


def promise(facts, c, policy, metric, begun, spans, until, answered, target):
    clock = facts.known.clock(c.opener.tenant) if policy.get("clock") == "business" else None
    left, due = target, None
    for a, b in running(c, spans):
        at = a + left if clock is None else clock.add(a, left)
        if at is not None and (b is None or at < b):
            due = at
            break
        left -= max(0, b - a) if clock is None else clock.between(a, b)
    extra = f"{c.opener.tenant},{policy['name']},{metric},{policy.get('clock', 'wall')},{target}"
    if due is not None and (until is None or due < until):
        sure = due < max(e.time for e in c.inside)
        kpi = "sla" if sure else "sla?"  # nothing has come since: the watermark may not have passed it
        facts.rate(kpi, c, due, begun, 1, False, None, extra)
    elif until is not None and answered:
        facts.rate("sla", c, until, begun, 1, True, None, extra)


def running(c, spans):
    """What pauses leave of spans."""
    out = []
    for a, b in spans:
        for x, y, _, _ in oracle.pauses(c):
            if y is not None and y <= a or b is not None and x >= b:
                continue
            if x > a:
                out.append((a, x))
            a = y
            if a is None:
                break
        if a is not None and (b is None or a < b):
            out.append((a, b))
    return out


# ---- agents' days --------------------------------------------------------------------------------

def count_days(facts, kept, statuses):
    known, now = facts.known, oracle.NOW
    days = collections.defaultdict(lambda: [0, 0])
    turns = collections.defaultdict(list)
    for e in sorted((e for e in statuses if not e.resent), key=lambda e: (e.time, e.id)):
        turns[e.tenant, e.actor].append(e)
    for (tenant, agent), list_ in turns.items():
        for e, nxt in zip(list_, list_[1:] + [None]):
            if e.body.get("status") not in OFFLINE:
                cut(known, days, tenant, agent, e.time, nxt.time if nxt else now, 1)
    for c in kept:
        for agent, a, b in oracle.moves(c)[3] or ():
            cut(known, days, c.opener.tenant, agent, a, b if b is not None else now, 0)
    for (tenant, agent, date), (handling, online) in days.items():
        if online and date < known.date(tenant, now - 2 * DAY):
            facts.rows[("occupancy", tenant, agent, 0, 0, date, 1, handling, online, None, None)] += 1


def cut(known, days, tenant, agent, a, b, which):
    """Adds a span to the days of the tenant's zone, quarter of an hour by quarter of an hour: no
    zone changes its date in between."""
    quarter = 900_000
    while a < b:
        end = min(b, a - a % quarter + quarter)
        days[tenant, agent, known.date(tenant, a)][which] += end - a
        a = end
