package gen

// timeForm is how a tenant's system writes `time`; all forms are legal and all occur.
type timeForm uint8

const (
	timeMillis  timeForm = iota // integer milliseconds since 1970
	timeUTC                     // RFC 3339 with milliseconds and Z
	timeSeconds                 // RFC 3339 in whole seconds with the tenant's offset
)

// line is one channel of a tenant.
type line struct {
	channel string
	share   int
	bot     bool
	voice   bool
}

// tenant is a business with its own people, hours and manners. Offsets are fixed, because the
// stream must not depend on the zone database of the machine.
type tenant struct {
	name, business, source, currency string

	share       int // of a thousand conversations
	langs       [len(languages)]int
	lines       []line
	queues      []string // the first takes what nobody assigned
	offsetHours int
	opens       int // local hour
	closes      int
	sunday      bool // works on Saturday and Sunday too
	replyMS     int64
	form        timeForm
	seq         bool
	phoneIDs    bool // conversation ids that are phone numbers, as messengers give them
	escalates   int  // per mille of bot conversations
	converts    int  // per mille of answered deals
	amountLow   int  // whole units of the currency
	amountHigh  int

	agents int // set by New from the traffic
}

// Tenants returns the names of the built-in businesses, in the order of their definition.
func Tenants() []string {
	var names []string
	for _, t := range builtinTenants() {
		names = append(names, t.name)
	}
	return names
}

func builtinTenants() []tenant {
	return []tenant{
		{
			name: "salon", business: "salon", source: "whatsapp", currency: "EUR",
			share: 180, langs: [...]int{20, 35, 0, 45, 0},
			lines: []line{
				{channel: "whatsapp", share: 55},
				{channel: "instagram", share: 30},
				{channel: "phone", share: 15, voice: true},
			},
			queues:      []string{"front", "stylists"},
			offsetHours: 2, opens: 9, closes: 20,
			replyMS: 420_000, form: timeSeconds, phoneIDs: true,
			escalates: 0, converts: 620, amountLow: 18, amountHigh: 140,
		},
		{
			name: "clinic", business: "clinic", source: "chatwoot", currency: "PLN",
			share: 170, langs: [...]int{15, 25, 35, 25, 0},
			lines: []line{
				{channel: "web", share: 50, bot: true},
				{channel: "telegram", share: 30},
				{channel: "phone", share: 20, voice: true},
			},
			queues:      []string{"reception", "nurses", "billing"},
			offsetHours: 1, opens: 8, closes: 18,
			replyMS: 240_000, form: timeUTC,
			escalates: 520, converts: 540, amountLow: 80, amountHigh: 600,
		},
		{
			name: "shop", business: "shop", source: "gorgias", currency: "PLN",
			share: 300, langs: [...]int{20, 10, 45, 5, 20},
			lines: []line{
				{channel: "web", share: 45, bot: true},
				{channel: "messenger", share: 25, bot: true},
				{channel: "wechat", share: 15},
				{channel: "email", share: 15},
			},
			queues:      []string{"orders", "returns", "couriers"},
			offsetHours: 1, opens: 9, closes: 21, sunday: true,
			replyMS: 600_000, form: timeMillis,
			escalates: 380, converts: 420, amountLow: 25, amountHigh: 900,
		},
		{
			name: "bank", business: "bank", source: "genesys", currency: "EUR",
			share: 230, langs: [...]int{30, 25, 20, 20, 5},
			lines: []line{
				{channel: "app", share: 60, bot: true},
				{channel: "web", share: 40, bot: true},
			},
			queues:      []string{"cards", "loans", "fraud", "service"},
			offsetHours: 2, opens: 7, closes: 23, sunday: true,
			replyMS: 150_000, form: timeMillis, seq: true,
			escalates: 610, converts: 180, amountLow: 10, amountHigh: 5000,
		},
		{
			name: "softdesk", business: "soft", source: "zendesk", currency: "USD",
			share: 120, langs: [...]int{45, 15, 10, 0, 30},
			lines: []line{
				{channel: "web", share: 55, bot: true},
				{channel: "email", share: 45},
			},
			queues:      []string{"first-line", "engineers", "sales"},
			offsetHours: 0, opens: 8, closes: 18,
			replyMS: 900_000, form: timeUTC, seq: true,
			escalates: 450, converts: 250, amountLow: 50, amountHigh: 3000,
		},
	}
}

const (
	secondMS = int64(1000)
	minuteMS = 60 * secondMS
	hourMS   = 60 * minuteMS
	dayMS    = 24 * hourMS
)

// local splits an instant into the tenant's weekday (0 is Sunday) and hour.
func (t *tenant) local(ms int64) (weekday, hour int) {
	ms += int64(t.offsetHours) * hourMS
	return int((ms/dayMS + 4) % 7), int(ms % dayMS / hourMS)
}

// open reports whether people work at ms.
func (t *tenant) open(ms int64) bool {
	weekday, hour := t.local(ms)
	if weekday == 0 || weekday == 6 {
		return t.sunday && hour >= t.opens+2 && hour < t.closes-2
	}
	return hour >= t.opens && hour < t.closes
}

// nextOpen returns ms, or the start of the next hour in which people work.
func (t *tenant) nextOpen(ms int64) int64 {
	for !t.open(ms) {
		ms += hourMS - ms%hourMS
	}
	return ms
}

// demand is the tenant's traffic in the hour that begins at ms, relative to other hours: two humps
// in working time, an evening that goes on after closing, quiet nights, quieter weekends.
func (t *tenant) demand(ms int64) int {
	weekday, hour := t.local(ms)
	shape := [24]int{6, 4, 3, 2, 3, 6, 14, 32, 60, 90, 108, 104, 84, 78, 88, 96, 100, 104, 92, 70, 54,
		40, 24, 12}
	weight := shape[hour] * t.share
	switch {
	case weekday == 0:
		weight = weight * 35 / 100
	case weekday == 6:
		weight = weight * 55 / 100
	case weekday == 1:
		weight = weight * 120 / 100
	}
	return weight
}
