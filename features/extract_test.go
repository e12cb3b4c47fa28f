package features

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
)

func extractor(t testing.TB, change func(*Config)) *Extractor {
	t.Helper()
	c := Default(42)
	if change != nil {
		change(&c)
	}
	x, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestCanonical(t *testing.T) {
	x := extractor(t, nil)
	f := func(in, want string) {
		t.Helper()
		if got := string(x.Canonical([]byte(in))); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	f("", "")
	f(" \t\n.,;:-", "")
	f("Hello, World", "hello world")
	f("  two   spaces\n", "two spaces")
	f("Ещё ЁЛКА ёж", "еще елка еж")
	f("ＡＢＣ１２３？！", "abc123 ? !")
	f("ｗｈｙ　ｎｏｔ", "why not")
	f("really?!", "really ? !")
	f("a!b", "a ! b")
	f("我要退款", "我 要 退 款")
	f("退款 OK吗？", "退 款 ok 吗 ?")
	f("カタカナ ひらがな", "カ タ カ ナ ひ ら が な")
	f("don't 'quoted' it’s", "don't quoted it's")
	f("''", "")
	f("Ķēniņš ŻÓŁĆ Straße", "ķēniņš żółć straße")
	f("good👍🏽 day", "good 👍 day")
	f("zero\u200bwidth \u202ebidi\u202c so\u00adft", "zerowidth bidi soft")
	f("a\xffb \xed\xa0\x80c", "a b c")
	f("a\x00b", "a b")
	f("user@example.com 24/7", "user example com 24 7")
	f("İstanbul K", "istanbul k") // dotted capital I and the Kelvin sign
	f("ไทย हिन्दी العربية", "ไทย हिन्दी العربية")
}

// slow computes the same features the plain way, over strings and maps; it shares nothing with the
// Extractor but the keys of the hashes and the multiplication.
type slow struct {
	config Config
	keys   hashKeys
}

func (s *slow) features(text string) map[uint64]int {
	out := map[uint64]int{}
	add := func(key uint64) { out[key] = min(out[key]+1, s.config.TermCap) }
	tokens := s.tokens(text)
	if len(tokens) == 0 {
		return out
	}
	prev := s.keys.start
	for _, tok := range tokens {
		d := xxhash.NewWithSeed(s.keys.word)
		_, _ = d.WriteString(tok)
		h := d.Sum64()
		add(h)
		if s.config.WordMax == 2 {
			add(s.pair(prev, h))
		}
		prev = h
	}
	if s.config.WordMax == 2 {
		add(s.pair(prev, s.keys.end))
	}
	for _, tok := range tokens {
		if r, size := utf8.DecodeRuneInString(tok); size == len(tok) && alone(r) {
			continue
		}
		runes := []rune(" " + tok + " ")
		for n := max(s.config.CharMin, 3); n <= s.config.CharMax; n++ {
			for i := 0; i+n <= len(runes); i++ {
				add(s.gram(string(runes[i:i+n]), n))
			}
		}
	}
	return out
}

func (s *slow) pair(a, b uint64) uint64 {
	return fold(a^s.keys.pair[0], (b<<32|b>>32)^s.keys.pair[1])
}

func (s *slow) gram(g string, n int) uint64 {
	k := s.keys.gram[n-3]
	load := func(b string) (w uint64) {
		for i := len(b) - 1; i >= 0; i-- {
			w = w<<8 | uint64(b[i])
		}
		return w
	}
	if len(g) <= 8 {
		return fold(load(g)^k[0], k[1])
	}
	return fold(fold(load(g[:8])^k[0], k[1])^k[2], load(g[8:])|1<<63)
}

func alone(r rune) bool {
	return r == '?' || r == '!' || unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) ||
		unicode.Is(unicode.So, r)
}

// tokens splits on what is no letter, digit or mark.
func (s *slow) tokens(text string) []string {
	var out []string
	var word strings.Builder
	end := func() {
		if w := strings.Trim(word.String(), "'"); w != "" {
			out = append(out, w)
		}
		word.Reset()
	}
	for _, r := range text {
		switch {
		case r == utf8.RuneError:
			end()
		case unicode.Is(unicode.Cf, r) || r >= 0xfe00 && r <= 0xfe0f:
		case alone(r):
			end()
			out = append(out, string(r))
		case r == 'ё' || r == 'Ё':
			word.WriteRune('е')
		case r == '\'' || unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r):
			word.WriteRune(unicode.ToLower(r))
		default:
			end()
		}
	}
	end()
	return out
}

var samples = []string{
	"Hello, I'd like to book a haircut!", "Сколько стоит стрижка? Ещё вопрос", "我要退款，东西坏了！",
	"Proszę o zwrot pieniędzy", "Cik maksā frizūra??", "a", "?", "ab", "мы", "да нет",
	"aaaaaaaa aaaaaaaa", "ภาษาไทย ไม่มี ช่องว่าง", "ქართული ენა გამარჯობა", "👍👍 ok 👍", "ok ok ok ok",
	"x 中 y", "it's 'fine'", "100% 50€", "😀word😀", "𐌰𐌱𐌲𐌳𐌴 𐌰",
}

func TestAgainstSlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	texts := slices.Clone(samples)
	alphabet := []rune("abcdeАБВгдеёЁżłśāčņ中文退款ไทยक？!?' .,0123😀\u200b\xad")
	for range 2000 {
		var b strings.Builder
		for range rng.IntN(60) {
			b.WriteRune(alphabet[rng.IntN(len(alphabet))])
		}
		texts = append(texts, b.String())
	}
	f := func(change func(*Config)) {
		t.Helper()
		x := extractor(t, change)
		s := slow{x.config, x.keys}
		var v Vector
		for _, text := range texts {
			some := x.Fill([]byte(text), nil, &v)
			got := map[uint64]int{}
			square := 0
			for i, key := range v.Keys {
				if got[key] != 0 {
					t.Fatalf("%q: a key twice", text)
				}
				got[key] = int(v.Counts[i])
				square += int(v.Counts[i]) * int(v.Counts[i])
			}
			want := s.features(toASCII(text))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%q: %s", text, diff)
			}
			if some != (len(want) > 0) || v.Text != len(want) || v.Square != square || v.Cut {
				t.Fatalf("%q: %v text %d square %d", text, some, v.Text, v.Square)
			}
		}
	}
	f(nil)
	f(func(c *Config) { c.TermCap = 3 })
	f(func(c *Config) { c.CharMax = 0 })
	f(func(c *Config) { c.CharMin = 4 })
	f(func(c *Config) { c.CharMax = 3 })
	f(func(c *Config) { c.WordMax = 1 })
	f(func(c *Config) { c.Seed = 7 })
}

// toASCII undoes full width, which slow does not know.
func toASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 0xff01 && r <= 0xff5e {
			return r - 0xff01 + '!'
		}
		return r
	}, s)
}

func keysOf(x *Extractor, text string, c *Conversation) []uint64 {
	var v Vector
	x.Fill([]byte(text), c, &v)
	return slices.Sorted(slices.Values(v.Keys))
}

func TestSeedIsTheModels(t *testing.T) {
	a, b, c := extractor(t, nil), extractor(t, nil), extractor(t, func(c *Config) { c.Seed++ })
	text := "How much is a haircut?"
	if !slices.Equal(keysOf(a, text, nil), keysOf(b, text, nil)) {
		t.Error("the same seed gives other features")
	}
	other := keysOf(c, text, nil)
	for _, key := range keysOf(a, text, nil) {
		if slices.Contains(other, key) {
			t.Error("another seed gives the same feature")
		}
	}
}

// TestGoldenKeys: a model file outlives the program that made it, so features must never change.
func TestGoldenKeys(t *testing.T) {
	x := extractor(t, func(c *Config) { c.Slots = allSlots })
	sum := xxhash.New()
	var v Vector
	conv := &Conversation{Turn: 2, WaitingMS: 600000, PrevLabel: "deal", BotFailed: true, Repeats: 1,
		BusinessHours: -1, Channel: []byte("web"), Lang: []byte("ru")}
	for _, text := range samples {
		x.Fill([]byte(text), conv, &v)
		for _, key := range v.Keys {
			for shift := 0; shift < 64; shift += 8 {
				_, _ = sum.Write([]byte{byte(key >> shift)})
			}
		}
	}
	if got := sum.Sum64(); got != 0x8d70c4c050dcf066 {
		t.Errorf("the features changed: %#x; trained models would no longer fit", got)
	}
}

func TestLongTexts(t *testing.T) {
	x := extractor(t, nil)
	var v, short Vector
	head := strings.Repeat("begin ", 2048/6+1)[:2048]
	tail := strings.Repeat(" end", 256)
	f := func(middle string, cut bool) {
		t.Helper()
		x.Fill([]byte(head+middle+tail), nil, &v)
		if v.Cut != cut {
			t.Errorf("%d bytes in the middle: cut %v", len(middle), v.Cut)
		}
	}
	f("", false)
	f("x", true)
	f(strings.Repeat(" refund", 9000), true)
	x.Fill([]byte(head+" "+tail), nil, &short)
	x.Fill([]byte(head+strings.Repeat(" refund", 9000)+tail), nil, &v)
	if !slices.Equal(slices.Sorted(slices.Values(short.Keys)), slices.Sorted(slices.Values(v.Keys))) {
		t.Error("the middle of a long text was read")
	}
	text := []byte(strings.Repeat("a", 2047) + "b" + strings.Repeat("c", 5000) + "d" + strings.Repeat("e", 1023))
	want := strings.Repeat("a", 2047) + "b d" + strings.Repeat("e", 1023)
	if got := string(x.Canonical(text)); got != want {
		t.Errorf("%d bytes are read, wanted the first 2048 and the last 1024", len(got))
	}
	// A cut in the middle of a character makes none that is broken.
	for shift := range 4 {
		text := bytes.Repeat([]byte("中"), 3000)
		text = append(bytes.Repeat([]byte("a"), shift), text...)
		x.Fill(text, nil, &v)
		if got := string(x.Canonical(text)); strings.ContainsRune(got, utf8.RuneError) || !utf8.ValidString(got) {
			t.Errorf("shift %d: broken characters", shift)
		}
	}
}

func TestStuffingIsCapped(t *testing.T) {
	x := extractor(t, func(c *Config) { c.TermCap = 2 })
	var v Vector
	x.Fill([]byte(strings.Repeat("refund ", 200)), nil, &v)
	for _, n := range v.Counts {
		if n > 2 {
			t.Fatalf("a feature counts %d times", n)
		}
	}
	if len(v.Keys) > 20 {
		t.Errorf("%d features of one word", len(v.Keys))
	}
}

func TestSlots(t *testing.T) {
	text := "hello"
	plain := keysOf(extractor(t, nil), text, nil)
	f := func(slot Slot, some, same, other Conversation) {
		t.Helper()
		off, on := extractor(t, func(c *Config) { c.Slots = allSlots &^ slot }), extractor(t, func(c *Config) {
			c.Slots = slot
		})
		if got := keysOf(off, text, &some); !slices.Equal(got, plain) {
			t.Errorf("slot %d shows although it is off", slot)
		}
		if got := keysOf(on, text, &Conversation{}); !slices.Equal(got, plain) {
			t.Errorf("slot %d: what is unknown is a feature", slot)
		}
		a, b, c := keysOf(on, text, &some), keysOf(on, text, &same), keysOf(on, text, &other)
		if len(a) != len(plain)+1 || !slices.Equal(a, b) || slices.Equal(a, c) {
			t.Errorf("slot %d: %d features, same %v, other %v", slot, len(a), slices.Equal(a, b),
				slices.Equal(a, c))
		}
	}
	f(SlotTurn, Conversation{Turn: 2}, Conversation{Turn: 3}, Conversation{Turn: 4})
	f(SlotWaiting, Conversation{WaitingMS: 60000}, Conversation{WaitingMS: 119999},
		Conversation{WaitingMS: 120000})
	f(SlotPrevLabel, Conversation{PrevLabel: "deal"}, Conversation{PrevLabel: "deal"},
		Conversation{PrevLabel: "claim"})
	f(SlotBotFailed, Conversation{BotFailed: true}, Conversation{BotFailed: true}, Conversation{})
	f(SlotRepeats, Conversation{Repeats: 1}, Conversation{Repeats: 1}, Conversation{Repeats: 2})
	f(SlotBusinessHours, Conversation{BusinessHours: 1}, Conversation{BusinessHours: 1},
		Conversation{BusinessHours: -1})
	f(SlotChannel, Conversation{Channel: []byte("web")}, Conversation{Channel: []byte("web")},
		Conversation{Channel: []byte("sms")})
	f(SlotLang, Conversation{Lang: []byte("ru")}, Conversation{Lang: []byte("ru")},
		Conversation{Lang: []byte("lv")})
	x := extractor(t, func(c *Config) { c.Slots = allSlots })
	var v Vector
	if x.Fill([]byte("…"), &Conversation{Turn: 1}, &v); v.Text != 0 || len(v.Keys) != 1 {
		t.Errorf("%d of %d features come from a text without words", v.Text, len(v.Keys))
	}
}

func TestConfigErrors(t *testing.T) {
	f := func(want string, change func(*Config)) {
		t.Helper()
		c := Default(1)
		change(&c)
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	f("head_bytes 0", func(c *Config) { c.HeadBytes = 0 })
	f("tail_bytes -1", func(c *Config) { c.TailBytes = -1 })
	f("together at most 65536", func(c *Config) { c.HeadBytes = 65536 })
	f("term_cap 0; give 1 to 15", func(c *Config) { c.TermCap = 0 })
	f("term_cap 16", func(c *Config) { c.TermCap = 16 })
	f("characters 2 to 4", func(c *Config) { c.CharMin = 2 })
	f("characters 3 to 5", func(c *Config) { c.CharMax = 5 })
	f("characters 4 to 3", func(c *Config) { c.CharMin, c.CharMax = 4, 3 })
	f("word_max 3", func(c *Config) { c.WordMax = 3 })
	f("slots 256", func(c *Config) { c.Slots = 256 })
	c := Default(1)
	c.CharMin, c.CharMax = 0, 0
	if _, err := New(c); err != nil {
		t.Errorf("no character n-grams: %v", err)
	}
}

func TestNoAllocations(t *testing.T) {
	x := extractor(t, func(c *Config) { c.Slots = allSlots })
	var v Vector
	long := []byte(strings.Repeat("Ещё один длинный текст, 中文 and words? ", 2000))
	conv := &Conversation{Turn: 3, PrevLabel: "deal", Channel: []byte("web"), Lang: []byte("ru")}
	x.Fill(long, conv, &v)
	texts := make([][]byte, len(samples))
	for i, s := range samples {
		texts[i] = []byte(s)
	}
	got := testing.AllocsPerRun(50, func() {
		for _, text := range texts {
			x.Fill(text, conv, &v)
		}
		x.Fill(long, conv, &v)
	})
	if got != 0 {
		t.Errorf("%v allocations", got)
	}
}

// FuzzFill: any bytes give a vector that keeps its promises, the same twice.
func FuzzFill(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s))
	}
	f.Add([]byte("\xff\xfe\x00'\u200d\U0010ffff"))
	x, again := extractor(f, nil), extractor(f, nil)
	f.Fuzz(func(t *testing.T, text []byte) {
		var v Vector
		x.Fill(text, nil, &v)
		if !slices.Equal(slices.Sorted(slices.Values(v.Keys)), keysOf(again, string(text), nil)) {
			t.Error("what was read before shows")
		}
		if len(slices.Compact(slices.Sorted(slices.Values(v.Keys)))) != len(v.Keys) {
			t.Error("a key twice")
		}
		canon := string(x.Canonical(text))
		if !utf8.ValidString(canon) || strings.Contains(canon, "  ") || strings.TrimSpace(canon) != canon {
			t.Errorf("canonical form %q", canon)
		}
		if !v.Cut && string(extractor(t, nil).Canonical([]byte(canon))) != canon && len(canon) < 3000 {
			t.Errorf("normalising twice changes %q", canon)
		}
	})
}

func benchmarkFill(b *testing.B, text string) {
	x := extractor(b, nil)
	var v Vector
	in := []byte(text)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		x.Fill(in, nil, &v)
	}
	b.ReportMetric(float64(len(v.Keys)), "features")
}

func BenchmarkFill(b *testing.B) {
	b.Run("en54", func(b *testing.B) {
		benchmarkFill(b, "I still have not received my new card, please help me.")
	})
	b.Run("ru95", func(b *testing.B) {
		benchmarkFill(b, "Сколько стоит стрижка и окрашивание? Хочу прийти завтра")
	})
	b.Run("zh", func(b *testing.B) {
		benchmarkFill(b, "你好，我上周在你们这里买的手机今天开不了机了，怎么办？")
	})
	b.Run("64KiB", func(b *testing.B) { benchmarkFill(b, strings.Repeat("long text here ", 4370)) })
}
