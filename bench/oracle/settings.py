"""What the configuration says of tenants, and time as their clocks and calendars count it, minute by
minute. The configuration is the one that usher runs with, written as JSON (which is YAML too)."""
import array, bisect, datetime, json, zoneinfo

MINUTE, DAY = 60_000, 86_400_000
UTC = datetime.timezone.utc
DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
UNITS = {"s": 1000, "m": MINUTE, "h": 3_600_000, "d": DAY}


def length(text):
    """Milliseconds of 3m, 90s, 24h; 0 of what is not there."""
    return int(float(text[:-1]) * UNITS[text[-1]]) if text else 0


class Settings:
    def __init__(self, name, begin, end):
        c = {}
        if name:
            with open(name, encoding="utf-8") as f:
                c = json.load(f)
        self.tenants, self.calendars = c.get("tenants", {}), c.get("calendars", {})
        self.policies = c.get("sla", [])
        level = c.get("service_level", {})
        self.within = [length(y) for y in level.get("within", ["3m", "15m"])]
        self.short_abandon = length(level.get("short_abandon", "10s"))
        self.estimates = c.get("estimates", {})
        self.begin, self.end, self.made, self.midnights = begin, end, {}, {}

    def of(self, tenant, key, default):
        for name in (tenant, "default"):
            value = self.tenants.get(name, {}).get(key)
            if value:
                return value
        return default

    def zone(self, tenant):
        return zoneinfo.ZoneInfo(self.of(tenant, "zone", "UTC"))

    def date(self, tenant, ms):
        name = self.of(tenant, "zone", "UTC")
        key = (name, ms // MINUTE)
        if key not in self.midnights:
            at = datetime.datetime.fromtimestamp(ms // 1000, UTC).astimezone(zoneinfo.ZoneInfo(name))
            self.midnights[key] = at.strftime("%Y-%m-%d")
        return self.midnights[key]

    def clock(self, tenant):
        """The tenant's working time; None around the clock."""
        name = self.of(tenant, "calendar", "")
        if not name:
            return None
        key = (name, self.of(tenant, "zone", "UTC"))
        if key not in self.made:
            self.made[key] = Clock(self.calendars[name], self.zone(tenant), self.begin, self.end)
        return self.made[key]


class Clock:
    """Every minute from begin to end (ms, UTC): is a person at work?"""

    def __init__(self, hours, zone, begin, end):
        self.first = begin // MINUTE
        self.before = array.array("q", [0])  # open minutes before each minute
        days, total = {}, 0
        for minute in range(self.first, end // MINUTE + 1):
            wall = datetime.datetime.fromtimestamp(minute * 60, UTC).astimezone(zone)
            date = wall.date()
            if date not in days:
                days[date] = spans(hours, date)
            now = wall.hour * 60 + wall.minute
            total += any(a <= now < b for a, b in days[date])
            self.before.append(total)

    def open(self, ms):
        i = ms // MINUTE - self.first
        return self.before[i + 1] > self.before[i]

    def until(self, ms):
        return self.before[ms // MINUTE - self.first] * MINUTE + (ms % MINUTE if self.open(ms) else 0)

    def between(self, a, b):
        return max(0, self.until(b) - self.until(a))

    def add(self, at, left):
        """The first instant at which so much working time has passed; None beyond the end."""
        if left <= 0:
            return at
        want = self.until(at) + left
        i = bisect.bisect_left(self.before, -(-want // MINUTE))
        if i >= len(self.before):
            return None
        return (self.first + i - 1) * MINUTE + want - self.before[i - 1] * MINUTE


def spans(hours, date):
    """The hours of a date in minutes: a date's own, none when closed, else its weekday's."""
    text = date.isoformat()
    if text in hours:
        return [span(s) for s in hours[text]]
    if text in hours.get("closed", []):
        return []
    for key, list_ in hours.items():
        ends = key.split("-")
        if all(e in DAYS for e in ends):
            a, b, day = DAYS.index(ends[0]), DAYS.index(ends[-1]), date.weekday()
            if (a <= day <= b) if a <= b else (day >= a or day <= b):
                return [span(s) for s in list_]
    return []


def span(text):
    minute = lambda t: int(t.split(":")[0]) * 60 + int(t.split(":")[1])
    a, b = text.split("-")
    return minute(a), minute(b)
