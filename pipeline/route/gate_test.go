package route

import "testing"

func f64(x float64) *float64 { return &x }

func TestGate(t *testing.T) {
	gate := func(want string, layers ...Layer) {
		t.Helper()
		c, err := NewCutoffs([]string{"deal", "claim"}, DefaultLimits(), layers...)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Gate(1); got != want {
			t.Errorf("gate %q, want %q", got, want)
		}
		if p := c.At(1, []byte("ru-RU")); p.AutoAt != c.of(1, []byte("ru")).autoAt {
			t.Errorf("At gives %v for ru-RU", p)
		}
	}
	gate("0.9/0/0")
	gate("0.9/0/0", Layer{Labels: map[string]Cutoff{"deal": {AutoAt: f64(0.95)}}})
	gate("0.95/0/0", Layer{Labels: map[string]Cutoff{"claim": {AutoAt: f64(0.95)}}})
	gate("0.9/0/0.3", Layer{Cutoff: Cutoff{MinScope: f64(0.3)}})
	gate("0.9/0/0 ru:0.97/0.1/0", Layer{Langs: map[string]LangLayer{
		"ru": {Labels: map[string]Cutoff{"claim": {AutoAt: f64(0.97), MinMargin: f64(0.1)}}},
		"en": {Labels: map[string]Cutoff{"claim": {SuggestAt: f64(0.6)}}}, // no matter to auto
	}})
}
