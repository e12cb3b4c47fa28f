#!/usr/bin/env python3
"""A slow, plain recount of usher's KPIs from the raw events, by the text of the contract alone.

    oracle.py EVENTS.jsonl STORE.jsonl [--decisions DECISIONS.jsonl] [--config USHER.json] [--name NAME]
              [--daily DAILY.jsonl] [--months]

EVENTS holds events in the order of their arrival; STORE what usher's views answer, a line a fact:
[kpi, tenant, conversation, counted_ms, started_ms, day, final, num, den, value, extra].
Standard library only; no code, no order of computation and no state is shared with usher. The log of
a conversation is kept whole, put in order, cut into cycles, and each figure is found by a look of its
own through the cycle. Exit code 0: no difference; 3: differences, listed.

What a recount cannot know is taken from the store: what the classifier and the rules decided on an
event (DECISIONS: [tenant, conversation, event, escalate, acted, queue, role, band, score, label,
suggestions, model, rule]).
"""
import argparse, collections, copy, datetime, json, sys, time

import settings

NOW = int(time.time() * 1000)
SEC, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
WINDOW = 16
ROLES = ["consultant", "senior", "manager"]
IDLE_CAP = 5 * MINUTE
NOT_IN_WINDOW = {"read", "reaction", "edit", "delete", "label", "feedback", "agent_status"}
IN_WINDOW = {"message", "open", "reopen", "close", "status", "assign", "transfer", "escalate",
             "handoff_offered", "handoff_accepted", "handoff_declined", "contact_provided",
             "session_end", "note", "csat", "outcome", "link", "merge", "void"}


# ---- reading -------------------------------------------------------------------------------------

def instant(t):
    """Milliseconds since 1970 of an integer or an RFC 3339 text; fractions are cut."""
    if isinstance(t, int):
        return t
    body, ms = t, 0
    zone = body[-1:] if body[-1] in "Zz" else body[-6:]
    body = body[:len(body) - len(zone)]
    if "." in body:
        body, fraction = body.split(".")
        ms = int((fraction + "000")[:3])
    leap = body.endswith(":60")
    if leap:
        body = body[:-2] + "59"
    at = datetime.datetime.strptime(body.upper(), "%Y-%m-%dT%H:%M:%S")
    seconds = (at - datetime.datetime(1970, 1, 1)) // datetime.timedelta(seconds=1)
    if zone not in "Zz":
        away = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds -= away if zone[0] == "+" else -away
    return seconds * 1000 + ms


class Event:
    def __init__(self, raw, place):
        self.place = place
        self.type = {"resolve": "close", "bot_answer": "message"}.get(raw["type"], raw["type"])
        self.id, self.time, self.seq = raw["id"], instant(raw["time"]), raw.get("seq")
        self.tenant = raw.get("tenant") or "default"
        self.conversation = raw.get("conversation_id") or ""
        actor = raw.get("actor") or {}
        self.by, self.actor, self.role = actor.get("kind", ""), actor.get("id", ""), actor.get("role", "")
        self.channel, self.inbox = raw.get("channel") or "", raw.get("inbox") or ""
        # A customer's own actor id tells who it is as customer_id does.
        self.customer = raw.get("customer_id") or (self.actor if self.by == "customer" else "")
        self.disclosed = bool(raw.get("ai_disclosed"))
        name = {"resolve": "close", "bot_answer": "message"}.get(raw["type"], raw["type"])
        self.body = raw.get(name) or {}
        self.raw_type = raw["type"]
        if raw["type"] == "bot_answer":
            self.by = "bot"
        self.forced = False      # a rule forced an escalation on it
        self.resent = self.late = False
        self.key = None
        self.side = self.find_side()

    def find_side(self):
        """Whose public, not automated message it is."""
        m = self.body
        if self.type != "message" or m.get("public") is False or m.get("automated"):
            return ""
        if self.by == "customer":
            return "customer"
        if m.get("echo") or self.by == "agent":
            return "agent"
        return "bot" if self.by == "bot" else ""

    @property
    def greeting(self):
        return self.side == "bot" and bool(self.body.get("greeting"))

    @property
    def reply(self):
        if self.side == "bot":
            return not self.body.get("greeting") and not self.body.get("fallback")
        return self.side == "agent"

    @property
    def ends(self):
        return self.type in ("close", "merge", "void") or \
            self.type == "status" and self.body.get("to") == "closed"

    @property
    def opens(self):
        return self.side == "customer" or self.type in ("open", "reopen") or \
            self.type == "status" and self.body.get("to") == "open"

    @property
    def names_someone(self):
        to = self.body.get("to") or {}
        return any(to.get(k) for k in ("agent", "team", "role", "queue")) or \
            self.type == "escalate" and bool(self.body.get("queue"))

    @property
    def to(self):
        return self.body.get("to") or {}

    @property
    def left(self):
        return self.type == "session_end" and self.body.get("reason") in ("left", "timeout")

    def rank(self):
        if self.type in ("open", "reopen"):
            return 0
        if self.type == "message":
            if self.by == "customer":
                return 1
            if self.body.get("echo") or self.by == "agent":
                return 6
            return 3 if self.by == "bot" else 2
        if self.type == "status":
            return 8 if self.ends else 2
        return {"escalate": 4, "assign": 5, "transfer": 5, "session_end": 7, "close": 8, "merge": 9,
                "void": 9, "csat": 10, "outcome": 10, "note": 10}.get(self.type, 2)

    def by_time(self):
        if self.key is None:
            self.key = (self.time, self.rank(), siphash(self.id.encode()))
        return self.key


def siphash(data, key=(0x75736865722E6964, 0x636F6E7665727361)):
    """SipHash-2-4 (Aumasson, Bernstein): the hash of ids that breaks ties of the order."""
    mask = (1 << 64) - 1
    rot = lambda x, b: ((x << b) | (x >> (64 - b))) & mask
    v = [key[0] ^ 0x736F6D6570736575, key[1] ^ 0x646F72616E646F6D,
         key[0] ^ 0x6C7967656E657261, key[1] ^ 0x7465646279746573]

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & mask; v[1] = rot(v[1], 13) ^ v[0]; v[0] = rot(v[0], 32)
            v[2] = (v[2] + v[3]) & mask; v[3] = rot(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & mask; v[3] = rot(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & mask; v[1] = rot(v[1], 17) ^ v[2]; v[2] = rot(v[2], 32)
    tail = len(data) % 8
    words = [int.from_bytes(data[i:i + 8], "little") for i in range(0, len(data) - tail, 8)]
    words.append(int.from_bytes(data[len(data) - tail:], "little") | (len(data) & 255) << 56)
    for w in words:
        v[3] ^= w
        rounds(2)
        v[0] ^= w
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# ---- order, window, cycles -----------------------------------------------------------------------

class Log:
    """All events of one conversation: what has left the window, and the window."""

    def __init__(self):
        self.settled, self.window, self.by_seq, self.amends = [], [], True, []
        self.came = []

    def arrive(self, e):
        if e.type in NOT_IN_WINDOW or e.type not in IN_WINDOW:
            return
        if any(o.id == e.id or e.seq is not None and o.seq == e.seq for o in self.window):
            e.resent = True
            return
        # The first event of the window without a seq ends the order by seq for good.
        by_seq = self.by_seq and e.seq is not None
        key = (lambda o: o.seq) if by_seq else Event.by_time
        if self.by_seq and not by_seq:
            self.window.sort(key=Event.by_time)
        ordered = sorted(self.window + [e], key=key)
        if len(self.window) == WINDOW and ordered[0] is e:
            e.late = True
            self.by_seq = by_seq
            if e.type in ("csat", "outcome", "void"):
                self.amends.append((e, self.last_settled(e)))
            return
        self.by_seq = by_seq
        self.window = ordered
        if len(self.window) > WINDOW:
            self.settled.append(self.window.pop(0))

    def last_settled(self, e):
        """The opening event of the last cycle of what is settled, if it opened before e."""
        cycles = cut(self.settled)
        if cycles and cycles[-1].opener.time <= e.time:
            return cycles[-1].opener
        return None

    def cycles(self):
        out = cut(self.settled + self.window)
        for e, opener in self.amends:
            for c in out:
                if c.opener is opener:
                    c.late.append(e)
        return out


def known_on_arrival(events):
    """Each event with the id of the event that opened its cycle, as it was known when it came:
    CONTRACT section 4 keeps that for events and decisions."""
    log = Log()
    for e in events:
        again = copy.copy(e)
        again.resent = again.late = False
        log.arrive(again)
        cycles = log.cycles()
        own = first(cycles, lambda c: again in c.all or again in c.late)
        last = cycles[-1] if cycles else None
        yield e, (own or last).opener.id if own or last else None


class Cycle:
    def __init__(self, opener):
        self.opener = opener
        self.inside = []         # while open, with the event that ended it
        self.after = []          # what belongs to it after its end
        self.late = []           # amendments older than the window
        self.end = None

    @property
    def all(self):
        return self.inside + self.after


def cut(events):
    cycles = []
    for e in events:
        c = cycles[-1] if cycles else None
        if (c is None or c.end) and e.opens:
            c = Cycle(e)
            cycles.append(c)
        if c is None:
            continue
        if e.type == "outcome" and e.time - c.opener.time > 30 * DAY:
            continue
        if not c.end:
            c.inside.append(e)
            if e.ends:
                c.end = e
        elif e.type in ("csat", "outcome", "note", "void", "merge") or e.side in ("agent", "bot"):
            c.after.append(e)
    return cycles


# ---- one cycle -----------------------------------------------------------------------------------

def first(events, wanted):
    return next((e for e in events if wanted(e)), None)


def handoffs(c):
    """Each handoff of a cycle: (event, by a bot or early rule, is it a wait of its own, answer)."""
    out, waiting, through = [], False, ""
    humans = 0
    for i, e in enumerate(c.inside):
        if e.side == "agent":
            humans, waiting = humans + 1, False
        kind = ""
        if e.type == "escalate":
            kind = "escalate"
        elif e.type == "transfer" and e.by == "bot" and e.names_someone:
            # One that follows an escalate which nobody has answered is the same handoff.
            kind = "" if waiting and through != "transfer" else "transfer"
        if e.forced and e.type not in ("escalate", "transfer") and e is not c.end:
            kind = "rule"
        if not kind:
            continue
        answer = first(c.inside[i + 1:], lambda x: x.side == "agent")
        bot = e.by == "bot" if kind != "rule" else humans == 0
        out.append((e, bot, not waiting, answer, kind))
        if not waiting:
            through = kind
        waiting = True
    return out


def pauses(c):
    """Spans in which the cycle was pending or snoozed: (from, to, place of the end)."""
    out, since = [], None
    for i, e in enumerate(c.inside):
        stops = e.side == "customer" or e is c.end or \
            e.type == "status" and e.body.get("to") not in ("pending", "snoozed")
        if since is None and e.type == "status" and e.body.get("to") in ("pending", "snoozed"):
            since = (e.time, i)
        elif since is not None and stops:
            out.append((since[0], e.time, since[1], i))
            since = None
    if since is not None:
        out.append((since[0], None, since[1], len(c.inside)))
    return out


def paused_within(c, begin, begin_at, end, end_at):
    total = 0
    for a, b, ia, ib in pauses(c):
        if ib < begin or ia > end:
            continue
        total += max(0, (end_at if b is None or ib > end else b) - max(a, begin_at))
    return total


def paused_work(c, wait, work):
    """What pauses took of an ended wait in business time: pauses out of hours take nothing."""
    begin, end = wait[0].time, wait[1]
    return sum(work(max(a, begin), end if b is None else min(b, end)) for a, b, _, _ in pauses(c)
               if a < end and (b is None or b > begin))


def waits(c, only_people):
    """Ended waits and the judged one, in order: (began, ended at, by what, wait, paused, first)."""
    passed = {id(h[0]) for h in handoffs(c)}
    out, since, held, judged, n = [], None, False, None, 0
    for i, e in enumerate(c.inside):
        done = ""
        if since is not None:
            if e.side == "agent":
                done = "agent"
            elif e.side == "bot" and e.reply and not only_people and not held:
                done = "bot"
            elif e is c.end:
                done = "close"
        if e.side == "customer" or e.reply:
            judged = None
        if done:
            j, began = since
            wait = max(0, e.time - began.time)
            out.append((began, e.time, done, wait, min(wait, paused_within(c, j, began.time, i, e.time)),
                        n == 1))
            since, held, judged = None, False, None
        if since is None and e is not c.end and (e.side == "customer" or id(e) in passed):
            since, held, n = (i, e), False, n + 1
        if id(e) in passed:
            held = True
        if e.left and since is not None:
            judged = (since[1], e.time, "none", max(0, e.time - since[1].time), 0, n == 1)
        elif e.left:
            judged = None
    if since is not None and judged:
        out.append(judged)
    return out


def judgement(c):
    """(judged at, waiting then) of the close, else of the last session_end that nothing answered."""
    w = waits(c, False)
    if c.end:
        return c.end.time, bool(w) and w[-1][2] == "close"
    last = None
    for e in c.inside:
        if e.left:
            last = e
        elif e.side == "customer" or e.reply:
            last = None
    if last is None:
        return None, False
    return last.time, bool(w) and w[-1][2] == "none"


def abandoned_at(c):
    """The first session_end that found the visitor waiting, before any reply, and stands."""
    at, replied = None, False
    passed = {id(h[0]) for h in handoffs(c)}
    waiting = False
    for e in c.inside:
        if e.side == "customer" or e.reply:
            at = None
        replied = replied or e.reply
        if e.side == "customer" or id(e) in passed:
            waiting = True
        if e.side == "agent":
            waiting = False
        if e.left and waiting and not replied and at is None:
            at = e.time
    return at


def resolution(c):
    if not c.end or c.end.type in ("merge", "void"):
        return None
    if c.end.body.get("resolution"):
        return c.end.body["resolution"]
    customers = [i for i, e in enumerate(c.inside) if e.side == "customer"]
    w = waits(c, False)
    waiting = bool(w) and w[-1][2] == "close"
    answered = customers and first(c.inside[customers[-1]:], lambda e: e.reply)
    return "assumed" if answered and not waiting else "unresolved"


def out_of_kpis(c):
    if first(c.all + c.late, lambda e: e.type in ("void", "merge")):
        return True
    return c.end is not None and c.end.body.get("resolution") == "spam" and c.end.type == "close"


def role_rank(name):
    return ROLES.index(name) + 1 if name in ROLES else 0


def escalated_any(c):
    """The instant of the first escalate, forced rule, bot's handoff or transfer upwards."""
    passed = {id(h[0]) for h in handoffs(c)}
    role = 0
    for e in c.inside:
        up = False
        if e.type == "transfer":
            target = role_rank(e.to.get("role"))
            start = role_rank((e.body.get("from") or {}).get("role")) or role or role_rank(e.role)
            up = target > max(1, start)
        if id(e) in passed or up:
            return e.time
        if e.type in ("assign", "transfer", "escalate") and role_rank(e.to.get("role")):
            role = role_rank(e.to["role"])
    return None


def queue_after(e, queue):
    to = e.to.get("queue") or (e.body.get("queue") if e.type == "escalate" else "") or e.to.get("team")
    return to or queue


def moves(c):
    """flowed out, reassigned (count, first at), spans (agent, from, to) assigned with status open
    (None: never assigned)."""
    queue, humans, flowed, agent, replier = c.opener.inbox, 0, False, "", ""
    count, first_at = 0, None
    status, since, held, ever = "open", None, [], False
    for e in c.inside:
        if e.side == "agent":
            humans += 1
            replier = e.actor or replier
        if e.type == "transfer" and e.by != "bot" and humans == 0:
            to = queue_after(e, "")
            if to and to != (queue or ""):
                flowed = True
        if e.type in ("assign", "transfer", "escalate"):
            to = e.to.get("agent", "")
            before = agent or replier
            if to and humans and e.type != "escalate" and before and before != to:
                count += 1
                first_at = first_at or e.time
            if e.names_someone:
                agent = to
            queue = queue_after(e, queue)
        if e.type == "status" and not e.ends:
            status = e.body["to"]
        if e.side == "customer" and status in ("pending", "snoozed"):
            status = "open"
        if e is c.end:
            status = "closed"
        queue = getattr(e, "routed", "") or queue
        on = agent if status == "open" else ""
        ever = ever or bool(agent)
        if since is not None and since[0] != on:
            held.append((since[0], since[1], e.time))
            since = None
        if on and since is None:
            since = (on, e.time)
    if since is not None:
        held.append((since[0], since[1], None))
    return flowed, count, first_at, held if ever else None


def active(c):
    total, last = 0, {}
    for e in c.inside:
        if e.by == "agent" and e.actor:
            if e.actor in last:
                total += min(max(0, e.time - last[e.actor]), IDLE_CAP)
            last[e.actor] = e.time
    return total


def converts(kind):
    return kind in ("booking", "sale", "lead")


def outcome(c):
    """(kind, at, messages up to it): the first that converts, else the first."""
    inside = [e for e in c.all if e.type == "outcome"]
    best = first(inside, lambda e: converts(e.body.get("kind"))) or (inside[0] if inside else None)
    count = None
    if best:
        place = c.all.index(best)
        count = sum(1 for e in c.all[:place] if e.side)
    for e in c.late:
        if e.type != "outcome" or e.time - c.opener.time > 30 * DAY:
            continue
        better = best is None or converts(e.body["kind"]) and not converts(best.body["kind"]) or \
            converts(e.body["kind"]) == converts(best.body["kind"]) and e.time < best.time
        if better:
            best, count = e, -1  # how many messages came before it is not said
    return best and (best.body["kind"], best.time, count)


def rating(c):
    rated = [e for e in c.all if e.type == "csat" and e.body.get("score") is not None]
    best = rated[-1] if rated else None
    for e in c.late:
        if e.type == "csat" and e.body.get("score") is not None and (best is None or e.time >= best.time):
            best = e
    return best


# ---- the KPIs ------------------------------------------------------------------------------------

class Facts:
    def __init__(self, known):
        self.rows = collections.Counter()
        self.known = known

    def value(self, kpi, c, counted, started, final, value, extra=None):
        self.add(kpi, c, counted, started, final, None, None, value, extra)

    def rate(self, kpi, c, counted, started, final, num, value=None, extra=None, day=None):
        self.add(kpi, c, counted, started, final, int(bool(num)), 1, value, extra, day)

    def twin(self, kpi, c, counted, started, final, value):
        """The value in business time of a fact."""
        self.add(kpi + "_business", c, counted, started, final, None, None, value, None)

    def add(self, kpi, c, counted, started, final, num, den, value, extra=None, day=None):
        day = counted if day is None else day
        date = self.known.date(c.opener.tenant, day)
        if isinstance(value, float):
            value = round(value, 6)
        self.rows[(kpi, c.opener.tenant, c.opener.conversation, counted, started, date,
                   int(bool(final)), num, den, value, extra)] += 1


def count_cycle(facts, c, following, sent):
    """Every fact of one cycle. following: when the conversation's next cycle opened; sent: the types
    of event that the tenant has ever sent."""
    inside, opened = c.inside, c.opener.time
    closed = c.end.time if c.end else None
    fc = first(inside, lambda e: e.side == "customer")
    asked = fc.time if fc else None
    after_fc = inside[inside.index(fc):] if fc else []
    reply = first(after_fc, lambda e: e.reply)
    human = first(after_fc, lambda e: e.side == "agent")
    replies = sum(1 for e in inside if e.reply)
    humans = sum(1 for e in inside if e.side == "agent")
    bots = replies - humans
    hand = handoffs(c)
    any_waits = waits(c, False)
    judged, waiting = judgement(c)
    flowed, reassigned, reassigned_at, held = moves(c)
    bot_message = first(inside, lambda e: e.side == "bot" and not e.greeting)
    up_at = escalated_any(c)
    bot_up = first([h for h in hand], lambda h: h[1])
    moved = bool({"escalate", "assign", "transfer"} & sent)
    gone = abandoned_at(c)
    inbox = first(c.all, lambda e: e.inbox)
    offered = bool(inbox) or bool(first(inside, lambda e: e.type in ("assign", "transfer", "escalate")))
    by_side = lambda side: sum(1 for e in c.all if e.side == side)
    V, R, T = facts.value, facts.rate, facts.twin
    clock = facts.known.clock(c.opener.tenant)
    work = clock.between if clock else lambda a, b: max(0, b - a)

    def settle(num_at, default=opened):
        return num_at if num_at is not None else closed if closed is not None else default

    V("volume", c, opened, opened, 1, 1, f"{by_side('customer')},{by_side('agent')},{by_side('bot')}")
    if clock:
        R("out_of_hours", c, opened, opened, 1, not clock.open(opened))
    if reply:
        V("first_reply_any", c, reply.time, asked, 1, max(0, reply.time - asked))
        T("first_reply_any", c, reply.time, asked, 1, work(asked, reply.time))
    if human:
        V("first_reply_human", c, human.time, asked, 1, max(0, human.time - asked))
        T("first_reply_human", c, human.time, asked, 1, work(asked, human.time))
    if hand:
        answer = first(inside[inside.index(hand[0][0]) + 1:], lambda e: e.side == "agent")
        if answer:
            V("first_reply_after_handoff", c, answer.time, hand[0][0].time, 1,
              max(0, answer.time - hand[0][0].time))
            T("first_reply_after_handoff", c, answer.time, hand[0][0].time, 1,
              work(hand[0][0].time, answer.time))
        if closed is not None:
            V("human_time", c, closed, hand[0][0].time, 1, closed - hand[0][0].time)
    for e, _, own, answer, _ in hand:
        if own and answer:
            V("handoff_wait", c, answer.time, e.time, 1, max(0, answer.time - e.time))
            T("handoff_wait", c, answer.time, e.time, 1, work(e.time, answer.time))
    for kpi, list_ in (("next_reply", any_waits), ("next_reply_human", waits(c, True))):
        for began, at, by, wait, _, is_first in list_:
            if not is_first and by in ("agent", "bot"):
                V(kpi, c, at, began.time, 1, wait)
                T(kpi, c, at, began.time, 1, work(began.time, at))
    for began, at, by, wait, _, _ in any_waits:
        R("missed_messages", c, at, began.time, by != "none", by in ("close", "none"))
    ended = [w for w in any_waits if w[2] != "none"]
    if ended and fc:
        V("requester_wait", c, ended[-1][1], asked, closed is not None,
          sum(w[3] - w[4] for w in ended))
        T("requester_wait", c, ended[-1][1], asked, closed is not None, sum(
            work(w[0].time, w[1]) - min(work(w[0].time, w[1]), paused_work(c, w, work)) for w in ended))
    if closed is not None:
        V("cycle_time", c, closed, opened, 1, closed - opened)
        V("messages_to_close", c, closed, opened, 1, sum(1 for e in inside if e.side))
        if "assign" in sent:
            if held is not None:
                V("handle_time", c, closed, opened, 1, sum(max(0, b - a) for _, a, b in held))
                V("active_handle_time", c, closed, opened, 1, active(c))
    if fc:
        at = reply.time if reply else asked if replies else settle(None)
        R("unanswered", c, at, opened, replies or closed is not None, replies == 0)
        R("bot_share", c, settle(bot_message.time if bot_message else None), opened,
          bot_message or closed is not None, bot_message)
    if judged is not None and fc:
        R("missed", c, judged, opened, closed is not None, waiting and not replies)
        R("dropped", c, judged, opened, closed is not None, waiting and replies)
    long_gone = gone is not None and gone - opened > facts.known.short_abandon
    if offered and "session_end" in sent:
        at = gone if long_gone else reply.time if reply else settle(None)
        R("abandoned", c, at, opened, closed is not None or reply, long_gone)
    escalation_kpis(facts, c, opened, closed, moved, bot_message, bot_up, up_at, settle)
    back = following is not None and closed is not None
    window = 72 * HOUR if (first(c.all, lambda e: e.channel) or c.opener).channel == "email" else 24 * HOUR
    if bot_message and bots:
        returned = back and following <= closed + window
        lost_at = human_any(inside, asked, opened) if humans else \
            up_at if up_at is not None else following if returned else None
        over = closed is not None and NOW > closed + window
        R("containment", c, lost_at if lost_at is not None else closed if over else opened, opened,
          over, lost_at is None)
    if bots:
        shown = first(inside, lambda e: e.side == "bot" and e.reply and e.disclosed)
        R("disclosure", c, closed if closed is not None else opened, opened,
          shown or closed is not None, shown)
    if closed is not None:
        week = back and following <= closed + 7 * DAY
        over = NOW > closed + 7 * DAY
        R("reopened", c, following if week else closed if over else opened, opened, over, week)
        if humans:
            runs, spoke = 0, False
            for e in inside:
                if e.side == "agent":
                    runs, spoke = runs + (not spoke), True
                elif e.side == "customer":
                    spoke = False
            R("one_touch", c, closed if runs > 1 else following if week else closed if over else opened,
              opened, over, runs == 1 and not week)
    if humans and "assign" in sent:
        R("reassigned", c, settle(reassigned_at), opened, reassigned or closed is not None, reassigned,
          reassigned)
    want = first(inside, lambda e: e.type == "escalate" and e.body.get("reason") == "asked_human")
    if want:
        got = first(inside[inside.index(want):], lambda e: e.side == "agent")
        R("asked_human", c, got.time if got else settle(None), want.time, got or closed is not None, got,
          max(0, got.time - want.time) if got else None)
    result = resolution(c)
    if bot_message and closed is not None:
        for kind in ("confirmed", "assumed"):
            R("resolved_" + kind, c, closed, opened, 1, result == kind)
    score = rating(c)
    if score:
        scale = score.body.get("scale") or 5
        R("satisfaction", c, score.time, opened, 1, score.body["score"] / scale >= 0.8,
          float(score.body["score"]))
    won = outcome(c)
    if fc and "outcome" in sent:
        good = won is not None and converts(won[0])
        over = NOW > opened + 30 * DAY
        R("conversion", c, won[1] if good else closed if closed is not None and over else opened, opened,
          good or over, good)
    if won and won[2] != -1:
        V("messages_to_outcome", c, won[1], opened, 1, won[2])
    if offered and fc and not flowed and not (gone is not None and not long_gone):
        alone = bots and not humans and not hand and up_at is None
        served = reply if alone else human
        for y in facts.known.within:
            ok = served is not None and max(0, served.time - asked) <= y
            over = closed is not None or NOW > asked + y or served is not None
            R("service_level", c, served.time if ok else asked + y if over else asked, asked,
              closed is not None or human or not ok and NOW > asked + y, ok, None, str(y),
              day=served.time if ok else asked)


def human_any(inside, asked, opened):
    """When a person first replied to the customer; before the first question: at the opening."""
    for i, e in enumerate(inside):
        if e.side == "agent" and asked is not None and first(inside[:i], lambda x: x.side == "customer"):
            return e.time
    return opened


def escalation_kpis(facts, c, opened, closed, moved, bot_message, bot_up, up_at, settle):
    if not moved:
        return
    at = bot_up[0].time if bot_up else None
    if bot_message:
        for kpi, num in (("escalation", bot_up), ("routed_to_team", bot_up), ("resolution_rate", not bot_up)):
            facts.rate(kpi, c, settle(at), opened, bot_up or closed is not None, num)
    facts.rate("escalation_all", c, settle(up_at), opened, up_at is not None or closed is not None,
               up_at is not None)


def count_conversation(facts, cycles):
    closes = [c for c in cycles if c.end]
    if not closes:
        return
    opened = min(c.opener.time for c in cycles)
    early, late = min(closes, key=lambda c: c.end.time), max(closes, key=lambda c: c.end.time)
    facts.value("time_to_first_close", early, early.end.time, opened, 1, early.end.time - opened)
    facts.value("time_to_last_close", late, late.end.time, opened, len(closes) == len(cycles),
                late.end.time - opened)


def count_customers(facts, kept):
    """returning and repeat_contact: the customer's cycles in whatever conversation."""
    by_customer = collections.defaultdict(list)
    for c in kept:
        who = first(c.all, lambda e: e.customer)
        if who:
            by_customer[(c.opener.tenant, who.customer)].append(c)
    for cycles in by_customer.values():
        won = [(outcome(c), c) for c in cycles]
        won = [(o[1], c) for o, c in won if o and converts(o[0])]
        for at, c in won:
            # Of two outcomes at one instant neither is the later one, but the pair counts once.
            later = sorted(t for t, o in won if o is not c and t > at)
            again = later[0] if later and later[0] <= at + 90 * DAY else None
            over = NOW > at + 90 * DAY
            facts.rate("returning", c, again if again is not None else at + 90 * DAY if over else c.opener.time,
                       c.opener.time, again is not None or over, again is not None,
                       (again - at) / DAY if again is not None else None,
                       str(int(again is not None and again <= at + 30 * DAY)))
        asking = sorted((c for c in cycles if first(c.inside, lambda e: e.side == "customer")),
                        key=lambda c: c.opener.time)
        for i, c in enumerate(asking):
            if not c.end:
                continue
            nxt = asking[i + 1].opener.time if i + 1 < len(asking) else None
            closed = c.end.time
            week = nxt is not None and nxt <= closed + 7 * DAY
            over = NOW > closed + 7 * DAY
            facts.rate("repeat_contact", c, nxt if week else closed if over else c.opener.time,
                       c.opener.time, over, week, None,
                       str(int(nxt is not None and nxt <= closed + DAY)))


def recount(events, decisions, known):
    logs, sent, rows = {}, collections.defaultdict(set), []
    statuses = []
    for place, raw in enumerate(events):
        e = Event(raw, place)
        sent[e.tenant].add(e.raw_type)
        if not e.conversation:
            statuses.append(e)
            continue
        d = decisions.get((e.tenant, e.conversation, e.id))
        e.decision = d
        e.forced, e.routed = (d.escalate, d.queue if d.acted and d.rule else "") if d else (False, "")
        rows.append(e)
        log = logs.setdefault((e.tenant, e.conversation), Log())
        log.arrive(e)
        log.came.append(e)
    facts, kept = Facts(known), []
    voided = set()
    for log in logs.values():
        all_cycles = log.cycles()
        cycles = [c for c in all_cycles if not out_of_kpis(c)]
        if len(cycles) < len(all_cycles):
            gone = {c.opener.id for c in all_cycles if out_of_kpis(c)}
            voided.update(id(e) for e, opener in known_on_arrival(log.came) if opener in gone)
        for i, c in enumerate(cycles):
            nxt = cycles[i + 1].opener.time if i + 1 < len(cycles) else None
            count_cycle(facts, c, nxt, sent[c.opener.tenant])
        if cycles:
            count_conversation(facts, cycles)
        kept += cycles
    count_customers(facts, kept)
    further.count(facts, kept, rows, statuses, voided, sent)
    seen = set()
    for e in rows:
        key = (e.tenant, e.conversation, e.id)
        if e.type != "outcome" or e.resent or key in seen or id(e) in voided or \
                e.body.get("value") is None:
            continue
        seen.add(key)
        one = Cycle(e)
        value = float(e.body["value"])
        facts.value("outcome_value", one, e.time, e.time, 1,
                    -abs(value) if e.body.get("kind") == "refund" else value,
                    f"{e.body.get('kind')},{e.body.get('currency', '')}")
    counts = {"events": len(rows), "cycles": len(kept), "resent": sum(e.resent for e in rows),
              "late": sum(e.late for e in rows), "conversations": len(logs)}
    return facts.rows, counts


# ---- comparing -----------------------------------------------------------------------------------

FLOATS = {"satisfaction", "outcome_value", "returning", "decision_bands", "triage_minutes", "savings"}


class Decision:
    def __init__(self, row):
        (self.id, self.escalate, self.acted, self.queue, self.role, self.band, self.score, self.label,
         self.suggestions, self.model, self.rule) = row


def lines(name):
    with open(name, encoding="utf-8") as f:
        for line in f:
            if line.strip():
                yield json.loads(line)


def stored(name):
    rows = collections.Counter()
    for kpi, tenant, conversation, counted, started, day, final, num, den, value, extra in lines(name):
        if value is not None:
            value = round(float(value), 6) if kpi in FLOATS else int(value)
        if kpi == "occupancy" and day >= RECENT:
            continue  # what runs on lasts until now
        rows[(kpi, tenant, conversation, int(counted), int(started), day, final, num, den, value,
              extra or None)] += 1
    return rows


RECENT = str(datetime.date.fromtimestamp(NOW // 1000 - 2 * 86_400))


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("events")
    p.add_argument("store")
    p.add_argument("--decisions")
    p.add_argument("--config")
    p.add_argument("--daily", help="what the daily twins answer")
    p.add_argument("--months", help="first human replies by month: [month, n, p50, p90]")
    p.add_argument("--name", default="")
    p.add_argument("--show", type=int, default=5)
    a = p.parse_args()
    decisions = {}
    for row in lines(a.decisions) if a.decisions else ():
        decisions[tuple(row[:3])] = Decision(row[3:])
    events = list(lines(a.events))
    times = [instant(e["time"]) for e in events]
    known = settings.Settings(a.config, min(times) - DAY, max(times) + 90 * DAY)
    mine, counts = recount(events, decisions, known)
    theirs = stored(a.store)
    perhaps(mine, theirs)
    bad = report(a, mine, theirs, counts)
    if a.daily:
        bad += daily(a, mine)
    if a.months:
        bad += months(a, mine)
    sys.exit(3 if bad else 0)


def perhaps(mine, theirs):
    """A promise that fell due after a conversation's last event is breached as soon as the watermark
    has passed it: a row that is there must be right, none may be missing elsewhere."""
    for row in [r for r in mine if r[0] == "sla?"]:
        n = mine.pop(row)
        real = ("sla",) + row[1:]
        if theirs[real]:
            mine[real] += n


def daily(a, mine):
    """The daily twins against the facts: n, num, den and sum per tenant, day and final."""
    want, have = collections.defaultdict(lambda: [0, 0, 0, 0.0]), {}
    names = set()
    for kpi, tenant, day, final, n, num, den, total in lines(a.daily):
        names.add(kpi)
        if n:
            have[kpi, tenant, day, final] = [n, num or 0, den or 0, round(float(total or 0), 3)]
    for row, n in mine.items():
        if row[0] in names:
            w = want[row[0], row[1], row[5], row[6]]
            for i, x in enumerate((1, row[7] or 0, row[8] or 0, (row[9] or 0) if row[7] is None else 0)):
                w[i] += n * x
    bad = 0
    for key in sorted(set(want) | set(have)):
        w = [round(x, 3) for x in want.get(key, [0, 0, 0, 0])]
        if w != have.get(key):
            bad += 1
            if bad <= a.show:
                print("    daily", key, "oracle", w, "store", have.get(key))
    print(f"daily twins: {len(names)} views, {len(want)} sums, differences {bad}")
    return bad


def months(a, mine):
    """n exact, p50 and p90 within the ranks next to theirs."""
    by_month, bad = collections.defaultdict(list), 0
    for row, n in mine.items():
        if row[0] == "first_reply_human":
            month = datetime.datetime.fromtimestamp(row[4] / 1000, datetime.timezone.utc)
            by_month[month.strftime("%Y-%m")] += [row[9]] * n
    for month, n, *quantiles in lines(a.months):
        values = sorted(by_month.pop(month, []))
        ok = n == len(values)
        for q, got in zip((0.5, 0.9), quantiles):
            rank = int(q * len(values))
            ok = ok and values[max(0, rank - 1)] <= got <= values[min(len(values) - 1, rank + 1)]
        bad += not ok
        print(month, n, *quantiles, "" if ok else "differs")
    print("months", "differences", bad + len(by_month))
    return bad + len(by_month)


def report(a, mine, theirs, counts):
    names = sorted({k[0] for k in mine} | {k[0] for k in theirs})
    print(a.name or a.events, " ".join(f"{k}={v}" for k, v in counts.items()))
    print(f"{'kpi':36}{'oracle':>10}{'store':>10}{'differ':>8}")
    bad = 0
    for name in names:
        m = collections.Counter({k: v for k, v in mine.items() if k[0] == name})
        t = collections.Counter({k: v for k, v in theirs.items() if k[0] == name})
        only_m, only_t = m - t, t - m
        differ = max(sum(only_m.values()), sum(only_t.values()))
        bad += differ
        print(f"{name:36}{sum(m.values()):10}{sum(t.values()):10}{differ:8}")
        for who, only in (("oracle", only_m), ("store", only_t)):
            for row in sorted(only, key=str)[:a.show]:
                print("   ", who, row[1:])
    print("KPIs", len(names), "facts", sum(mine.values()), "differences", bad)
    return bad


if __name__ == "__main__":
    sys.modules["oracle"] = sys.modules["__main__"]
    import further
    main()
