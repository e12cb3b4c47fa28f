package classifier

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"usher/features"
)

func ptr(x float64) *float64 { return &x }

// made is a model together with what it was made from.
type made struct {
	meta    Meta
	keys    []uint64
	weights []int8
	file    []byte
}

// make2 makes a random model with two heads: three labels that exclude each other, and five that
// do not.
func make2(t testing.TB, rows int) *made {
	t.Helper()
	rng := rand.New(rand.NewPCG(5, uint64(rows)))
	m := &made{meta: Meta{Name: "intent", Version: "1", Features: features.Default(9), Stride: 8,
		Heads: []HeadMeta{
			{Name: "intent", Kind: Softmax, Labels: []string{"claim", "deal", "request"}, Scale: 0.05,
				Bias: []float64{0.1, -0.2, 0.05}, Temperature: 1.3, KnownTypical: 0.8,
				Thresholds: Thresholds{Cutoff: Cutoff{AutoAt: ptr(0.9)}}, Quality: Quality{N: 3}},
			{Name: "kb", Kind: OneVsAll, Labels: []string{"a", "b", "c", "d", "e"}, From: 3, Scale: 0.1,
				Bias: make([]float64, 5), Temperature: 0.7},
		}}}
	for range rows {
		m.keys = append(m.keys, rng.Uint64())
		for range m.meta.Stride {
			m.weights = append(m.weights, int8(rng.IntN(255)-127))
		}
	}
	var err error
	if m.file, err = Encode(m.meta, m.keys, m.weights); err != nil {
		t.Fatal(err)
	}
	return m
}

func load(t testing.TB, file []byte) *Model {
	t.Helper()
	m, err := FromBytes(file)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// slow scores with maps and the standard library's functions.
func (m *made) slow(v *features.Vector, head int) (probs []float64, known float64) {
	row := map[uint64][]int8{}
	for i, key := range m.keys {
		row[key] = m.weights[i*m.meta.Stride : (i+1)*m.meta.Stride]
	}
	h := m.meta.Heads[head]
	logits := make([]float64, len(h.Labels))
	for i, key := range v.Keys {
		if w, ok := row[key]; ok {
			if i < v.Text {
				known++
			}
			for c := range logits {
				logits[c] += float64(w[h.From+c]) * float64(v.Counts[i])
			}
		}
	}
	total := 0.0
	for c := range logits {
		logits[c] = (logits[c]*h.Scale/math.Sqrt(float64(max(v.Square, 1))) + h.Bias[c]) / h.Temperature
		total += math.Exp(logits[c])
	}
	for _, l := range logits {
		if h.Kind == Softmax {
			probs = append(probs, math.Exp(l)/total)
		} else {
			probs = append(probs, 1/(1+math.Exp(-l)))
		}
	}
	return probs, known / float64(max(v.Text, 1))
}

// vector draws features, some of which the model knows.
func (m *made) vector(rng *rand.Rand, n int) *features.Vector {
	v := &features.Vector{}
	used := map[uint64]bool{}
	for len(v.Keys) < n {
		key := rng.Uint64()
		if rng.IntN(3) > 0 {
			key = m.keys[rng.IntN(len(m.keys))]
		}
		if used[key] {
			n--
			continue
		}
		used[key] = true
		count := uint8(1 + rng.IntN(3))
		v.Keys, v.Counts = append(v.Keys, key), append(v.Counts, count)
		v.Square += int(count) * int(count)
	}
	v.Text = len(v.Keys) - rng.IntN(2)*min(2, len(v.Keys))
	return v
}

func TestScoreAgainstSlow(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	for _, rows := range []int{1, 3, 40, 5000} {
		m := make2(t, rows)
		model := load(t, m.file)
		out := model.NewScores()
		for range 500 {
			v := m.vector(rng, rng.IntN(200))
			model.Score(v, out)
			for i := range m.meta.Heads {
				want, known := m.slow(v, i)
				got := out.Heads[i]
				best := 0
				for c, p := range got.Probs {
					if math.Abs(p-want[c]) > 0.5001/scoreSteps || p != math.Round(p*scoreSteps)/scoreSteps {
						t.Fatalf("%d rows, head %d: %v, want %v", rows, i, got.Probs, want)
					}
					if p > got.Probs[best] {
						best = c
					}
				}
				if math.Abs(out.KnownShare-known) > 0.5001/scoreSteps {
					t.Fatalf("known share %v, want %v", out.KnownShare, known)
				}
				if m.meta.Heads[i].Kind == Softmax && got.Best != best {
					t.Fatalf("best %d of %v", got.Best, got.Probs)
				}
			}
			if want := math.Round(min(1, out.KnownShare/0.8)*scoreSteps) / scoreSteps; out.Heads[0].Scope != want {
				t.Fatalf("scope %v at known share %v", out.Heads[0].Scope, out.KnownShare)
			}
			if out.Heads[1].Scope != 1 {
				t.Fatalf("scope %v of a head that has no typical share", out.Heads[1].Scope)
			}
		}
	}
}

// TestLongTextDoesNotOverflow: every feature of the longest text with the largest weight and count
// must still give the right class (16-bit sums gave a wrong one).
func TestLongTextDoesNotOverflow(t *testing.T) {
	const n = 200_000
	meta := Meta{Name: "m", Version: "1", Features: features.Default(1), Stride: 4,
		Heads: []HeadMeta{{Name: "h", Kind: Softmax, Labels: []string{"a", "b", "c"}, Scale: 0.01,
			Bias: make([]float64, 3), Temperature: 1}}}
	v := features.Vector{Text: n, Square: n * 225}
	var keys []uint64
	var weights []int8
	rng := rand.New(rand.NewPCG(1, 1))
	for range n {
		keys = append(keys, rng.Uint64())
		weights = append(weights, -127, 127, 126, 0)
		v.Counts = append(v.Counts, 15)
	}
	v.Keys = keys
	file, err := Encode(meta, keys, weights)
	if err != nil {
		t.Fatal(err)
	}
	model := load(t, file)
	out := model.NewScores()
	model.Score(&v, out)
	if out.Heads[0].Best != 1 || out.sums[1] != 127*15*n || out.sums[0] != -127*15*n {
		t.Errorf("best %d, sums %v", out.Heads[0].Best, out.sums)
	}
}

// TestForeignFeatures: features of another text are rejected by their fingerprint, though they
// probe slots that are taken.
func TestForeignFeatures(t *testing.T) {
	m := make2(t, 5000)
	model := load(t, m.file)
	rng := rand.New(rand.NewPCG(8, 8))
	v := features.Vector{}
	for range 200_000 {
		v.Keys, v.Counts = append(v.Keys, rng.Uint64()), append(v.Counts, 1)
	}
	v.Text, v.Square = len(v.Keys), len(v.Keys)
	out := model.NewScores()
	model.Score(&v, out)
	if known := model.accumulate(&v, out); known != 0 {
		t.Errorf("%d of 200000 foreign features were taken for known ones", known)
	}
	model.Score(&features.Vector{}, out)
	for i := range out.Heads {
		want, _ := m.slow(&features.Vector{}, i)
		for c, p := range out.Heads[i].Probs {
			if math.Abs(p-want[c]) > 0.5001/scoreSteps || out.KnownShare != 0 {
				t.Errorf("no features: %v, want %v", out.Heads[i].Probs, want)
			}
		}
	}
}

// TestSums: every way of adding rows gives the plain sums, also when lanes spill often.
func TestSums(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	for _, stride := range []int{1, 2, 3, 4, 5, 7, 8, 12, 16, 20, 80, 152} {
		h := HeadMeta{Name: "h", Kind: Softmax, Scale: 0.01, Temperature: 1, Bias: []float64{0},
			Labels: []string{"a"}}
		m := &made{meta: Meta{Name: "m", Version: "1", Features: features.Default(1), Stride: stride,
			Heads: []HeadMeta{h}}}
		for range 300 {
			m.keys = append(m.keys, rng.Uint64())
			for range stride {
				m.weights = append(m.weights, [...]int8{-128, -127, 127, 0, int8(rng.IntN(256) - 128)}[rng.IntN(5)])
			}
		}
		for c := range stride {
			m.weights[c] = 127 // the first row fills lanes to the brim
		}
		file, err := Encode(m.meta, m.keys, m.weights)
		if err != nil {
			t.Fatal(err)
		}
		model := load(t, file)
		out := model.NewScores()
		for _, most := range []int{1, 2, 15} {
			var v features.Vector
			want := make([]int32, stride)
			n := rng.IntN(3000)
			for i := range 1000 + n {
				row, count := 0, 1
				if i >= 1000 {
					row, count = rng.IntN(300), 1+rng.IntN(most)
				}
				v.Keys, v.Counts = append(v.Keys, m.keys[row]), append(v.Counts, uint8(count))
				for c := range want {
					want[c] += int32(m.weights[row*stride+c]) * int32(count)
				}
			}
			v.Text = len(v.Keys)
			if known := model.accumulate(&v, out); known != v.Text {
				t.Fatalf("stride %d: %d of %d known", stride, known, v.Text)
			}
			if diff := cmp.Diff(want, out.sums); diff != "" {
				t.Fatalf("stride %d, counts to %d: %s", stride, most, diff)
			}
		}
	}
}

func TestTies(t *testing.T) {
	meta := Meta{Name: "m", Version: "1", Features: features.Default(1), Stride: 4,
		Heads: []HeadMeta{{Name: "h", Kind: Softmax, Labels: []string{"a", "b", "c"}, Scale: 1,
			Bias: []float64{0, 1, 1.00001}, Temperature: 1}}}
	file, err := Encode(meta, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	model := load(t, file)
	out := model.NewScores()
	model.Score(&features.Vector{}, out)
	if h := out.Heads[0]; h.Probs[1] != h.Probs[2] || h.Best != 1 {
		t.Errorf("best %d of %v: equal scores must go to the first label", h.Best, h.Probs)
	}
}

func TestLoad(t *testing.T) {
	m := make2(t, 100)
	path := filepath.Join(t.TempDir(), "intent.usher")
	if err := os.WriteFile(path, m.file, 0o600); err != nil {
		t.Fatal(err)
	}
	model, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	v := m.vector(rand.New(rand.NewPCG(1, 2)), 50)
	a, b := model.NewScores(), model.NewScores()
	model.Score(v, a)
	load(t, m.file).Score(v, b)
	if diff := cmp.Diff(a.Heads[0].Probs, b.Heads[0].Probs); diff != "" {
		t.Errorf("mapped and in memory differ: %s", diff)
	}
	want := m.meta
	want.Rows, want.Slots = 100, 128
	if diff := cmp.Diff(want, model.meta); diff != "" {
		t.Error(diff)
	}
	sum := sha256.Sum256(m.file[:len(m.file)-sumBytes])
	if model.Checksum() != fmt.Sprintf("%x", sum) || model.Name() != "intent" || model.Rows() != 100 ||
		model.Head("kb") != 1 || model.Head("x") != -1 {
		t.Errorf("%s %s %d", model.Checksum(), model.Name(), model.Rows())
	}
	if err := model.Close(); err != nil {
		t.Error(err)
	}
	if err := model.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	again, err := Encode(m.meta, m.keys, m.weights)
	if err != nil || !bytes.Equal(again, m.file) {
		t.Errorf("the same model has other bytes (%v)", err)
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	f := func(name string, content []byte, want string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if content != nil {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
	good := make2(t, 20).file
	f("absent", nil, "cannot load the model: open")
	f("empty", []byte{}, "empty or no regular file; make one with usher train")
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	f("folder", nil, "empty or no regular file")
	f("text", bytes.Repeat([]byte("no model "), 20), "no usher model (it does not begin with USHERMDL)")
	f("short", good[:20], "no usher model")
	f("cut", good[:len(good)-5], "checksum does not match")
	newer := bytes.Clone(good)
	newer[8] = 2
	f("newer", newer, "format is version 2 and this usher reads version 1")
}

// TestEveryByteIsChecked: whatever single byte is damaged, the file is refused.
func TestEveryByteIsChecked(t *testing.T) {
	good := make2(t, 3).file
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		if _, err := FromBytes(bad); err == nil {
			t.Fatalf("byte %d of %d is not checked", i, len(good))
		}
	}
}

// reseal makes a file whose checksum is right, whatever its content.
func reseal(meta any, version uint32, body []byte) []byte {
	head, err := json.Marshal(meta)
	if err != nil {
		head = nil // no JSON: the reader must say so
	}
	out := append([]byte(magic), make([]byte, 8)...)
	binary.LittleEndian.PutUint32(out[8:], version)
	binary.LittleEndian.PutUint32(out[12:], uint32(len(head)))
	out = append(append(out, head...), body...)
	sum := sha256.Sum256(out)
	return append(out, sum[:]...)
}

func TestContentErrors(t *testing.T) {
	f := func(want string, change func(*Meta)) {
		t.Helper()
		m := make2(t, 20)
		meta := load(t, m.file).meta
		change(&meta)
		_, err := FromBytes(reseal(meta, formatVersion, make([]byte, max(0, meta.bodyBytes()))))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	h := func(change func(*HeadMeta)) func(*Meta) { return func(m *Meta) { change(&m.Heads[0]) } }
	f("name or version is missing", func(m *Meta) { m.Name = "" })
	f("name or version is missing", func(m *Meta) { m.Version = "" })
	f("term_cap 0", func(m *Meta) { m.Features.TermCap = 0 })
	f("a power of two above the rows", func(m *Meta) { m.Slots = 31 })
	f("a power of two above the rows", func(m *Meta) { m.Slots = 16 })
	f("a power of two above the rows", func(m *Meta) { m.Rows = -1 })
	f("a power of two above the rows", func(m *Meta) { m.Slots = 0 })
	f("stride 0 with 2 heads", func(m *Meta) { m.Stride = 0 })
	f("with 0 heads", func(m *Meta) { m.Heads = nil })
	f(`head 2 is named "intent"`, func(m *Meta) { m.Heads[1].Name = "intent" })
	f(`head 1 is named ""`, h(func(h *HeadMeta) { h.Name = "" }))
	f("takes columns 2 to 7 of 8, expected from 3 on", func(m *Meta) { m.Heads[1].From = 2 })
	f("head kb takes columns 3 to 8 of 6", func(m *Meta) { m.Stride = 6 })
	f(`kind is "max"`, h(func(h *HeadMeta) { h.Kind = "max" }))
	f("3 labels with 2 biases", h(func(h *HeadMeta) { h.Bias = h.Bias[:2] }))
	f("temperature 0", h(func(h *HeadMeta) { h.Temperature = 0 }))
	f("scale 1e+300", h(func(h *HeadMeta) { h.Scale = 1e300 }))
	f("the bias of label 3 is -1e+10", h(func(h *HeadMeta) { h.Bias[2] = -1e10 }))
	f("scale -1", h(func(h *HeadMeta) { h.Scale = -1 }))
	f("known_typical 2", h(func(h *HeadMeta) { h.KnownTypical = 2 }))
	f(`label 2 is "claim"`, h(func(h *HeadMeta) { h.Labels[1] = "claim" }))
	f(`label 1 is ""`, h(func(h *HeadMeta) { h.Labels[0] = "" }))
	check := func(want string, file []byte) {
		t.Helper()
		if _, err := FromBytes(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	m := make2(t, 20)
	meta := load(t, m.file).meta
	body := bytes.Clone(load(t, m.file).body)
	check("holds 5 bytes of weights", reseal(meta, formatVersion, make([]byte, 5)))
	check("meta data is not readable", reseal("text", formatVersion, body))
	binary.LittleEndian.PutUint32(body, uint32(meta.Rows+1))
	check("points at row 21 of 20", reseal(meta, formatVersion, body))
	for at := 0; at < meta.Slots*slotBytes; at += slotBytes {
		binary.LittleEndian.PutUint64(body[at:], 1)
	}
	check("no empty slot", reseal(meta, formatVersion, body))
	long := reseal(meta, formatVersion, load(t, m.file).body)
	binary.LittleEndian.PutUint32(long[12:], 1<<20)
	sum := sha256.Sum256(long[:len(long)-sumBytes])
	check("claims 1048576 bytes", append(long[:len(long)-sumBytes], sum[:]...))
}

// FuzzParse: whatever a file holds, if its checksum is right it is refused or it scores.
func FuzzParse(f *testing.F) {
	m := make2(f, 20)
	good := load(f, m.file)
	head, err := json.Marshal(good.meta)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(head, good.body)
	f.Add([]byte(`{"stride":8,"rows":1,"slots":16}`), make([]byte, 136))
	f.Add([]byte(strings.Replace(string(head), `"stride":8`, `"stride":9`, 1)), make([]byte, 32*8+20*9))
	f.Fuzz(func(t *testing.T, head, body []byte) {
		model, err := FromBytes(reseal(json.RawMessage(head), formatVersion, body))
		if err != nil {
			return
		}
		out := model.NewScores()
		v := &features.Vector{Keys: m.keys, Counts: bytes.Repeat([]byte{15}, len(m.keys)), Text: len(m.keys),
			Square: 225 * len(m.keys)}
		model.Score(v, out)
		for i, h := range out.Heads {
			for _, p := range h.Probs {
				if !(p >= 0 && p <= 1) {
					t.Fatalf("head %d: probability %v", i, p)
				}
			}
		}
	})
}

func TestRecard(t *testing.T) {
	m := make2(t, 100)
	out, err := Recard(m.file, json.RawMessage(`{"about":"a test"}`))
	if err != nil {
		t.Fatal(err)
	}
	a, b := load(t, m.file), load(t, out)
	if string(b.Card()) != `{"about":"a test"}` || a.Checksum() == b.Checksum() || !bytes.Equal(a.body, b.body) {
		t.Errorf("card %s", b.Card())
	}
	if _, err := Recard([]byte("x"), nil); err == nil {
		t.Error("a card for no model")
	}
}

func TestResolve(t *testing.T) {
	th := Thresholds{Cutoff: Cutoff{AutoAt: ptr(0.8), MinScope: ptr(0.3)},
		Labels: map[string]Cutoff{"deal": {AutoAt: ptr(0.85)}},
		Langs: map[string]LangCutoff{"ru": {Cutoff: Cutoff{SuggestAt: ptr(0.6)},
			Labels: map[string]Cutoff{"deal": {MinMargin: ptr(0.2)}}}}}
	f := func(label, lang string, want Resolved) {
		t.Helper()
		if got := th.Resolve(label, lang); got != want {
			t.Errorf("%s %s: %+v, want %+v", label, lang, got, want)
		}
	}
	f("claim", "", Resolved{0.8, 0.5, 0, 0.3})
	f("deal", "en", Resolved{0.85, 0.5, 0, 0.3})
	f("deal", "ru", Resolved{0.85, 0.6, 0.2, 0.3})
	f("claim", "ru-RU", Resolved{0.8, 0.6, 0, 0.3})
	if got := (&Thresholds{}).Resolve("x", ""); got != (Resolved{0.9, 0.5, 0, 0}) {
		t.Errorf("nothing said: %+v", got)
	}
}

func TestExpAgainstStandardLibrary(t *testing.T) {
	for x := -700.0; x <= 700; x += 0.0137 {
		if got, want := Exp(x), math.Exp(x); math.Abs(got/want-1) > 1e-9 {
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	if Exp(0) != 1 || Exp(-701) != 0 || Exp(math.Inf(-1)) != 0 || !math.IsNaN(Exp(math.NaN())) ||
		math.IsInf(Exp(1e9), 0) {
		t.Error("at the borders")
	}
}

func TestNoAllocations(t *testing.T) {
	m := make2(t, 1000)
	model := load(t, m.file)
	out := model.NewScores()
	v := m.vector(rand.New(rand.NewPCG(1, 2)), 150)
	if got := testing.AllocsPerRun(100, func() { model.Score(v, out) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func benchmarkScore(b *testing.B, labels int) {
	rng := rand.New(rand.NewPCG(1, 2))
	stride := 4
	if labels > 4 {
		stride = (labels + 7) / 8 * 8
	}
	h := HeadMeta{Name: "h", Kind: Softmax, Scale: 0.01, Temperature: 1, Bias: make([]float64, labels)}
	for i := range labels {
		h.Labels = append(h.Labels, fmt.Sprint(i))
	}
	m := &made{meta: Meta{Name: "m", Version: "1", Features: features.Default(1), Stride: stride,
		Heads: []HeadMeta{h}}}
	for range 16000 {
		m.keys = append(m.keys, rng.Uint64())
		for range stride {
			m.weights = append(m.weights, int8(rng.IntN(255)-127))
		}
	}
	file, err := Encode(m.meta, m.keys, m.weights)
	if err != nil {
		b.Fatal(err)
	}
	model := load(b, file)
	out := model.NewScores()
	vectors := make([]*features.Vector, 64)
	for i := range vectors {
		vectors[i] = m.vector(rng, 96)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		model.Score(vectors[i%len(vectors)], out)
	}
}

func BenchmarkScore(b *testing.B) {
	b.Run("3labels", func(b *testing.B) { benchmarkScore(b, 3) })
	b.Run("10labels", func(b *testing.B) { benchmarkScore(b, 10) })
	b.Run("77labels", func(b *testing.B) { benchmarkScore(b, 77) })
}
