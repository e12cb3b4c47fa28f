package main

import (
	"testing"
	"time"
)

// TestZoneSpans holds the spans to the clocks themselves, every six hours of a century, in zones that
// change by an hour, by half an hour, at midnight, over the date line and never.
func TestZoneSpans(t *testing.T) {
	for _, name := range []string{
		"UTC", "Europe/Riga", "Europe/Moscow", "America/New_York", "Australia/Lord_Howe", "America/Havana",
		"Pacific/Apia", "Asia/Shanghai",
	} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		spans := zoneSpans(zone)
		if spans[0].fromMS != zonesFrom.UnixMilli() || spans[len(spans)-1].untilMS != zonesUntil.UnixMilli() {
			t.Errorf("%s: from %d until %d", name, spans[0].fromMS, spans[len(spans)-1].untilMS)
		}
		i := 0
		for at := zonesFrom; at.Before(zonesUntil); at = at.Add(6 * time.Hour) {
			for at.UnixMilli() >= spans[i].untilMS {
				if spans[i+1].fromMS != spans[i].untilMS || spans[i+1].offsetMS == spans[i].offsetMS {
					t.Fatalf("%s: %v does not follow on %v", name, spans[i+1], spans[i])
				}
				i++
			}
			if _, offset := at.In(zone).Zone(); int64(offset)*1000 != spans[i].offsetMS {
				t.Fatalf("%s: at %s the clock is %d s from UTC, the span says %d ms", name, at, offset,
					spans[i].offsetMS)
			}
		}
	}
}
