package event

import (
	"fmt"
	"testing"

	"github.com/valyala/fastjson"
)

// lifelike are records as a salon's chat makes them, about 310 bytes each.
func lifelike() map[string][]byte {
	out := map[string][]byte{}
	for name, text := range map[string]string{
		"english": "Hello, how much is a haircut for long hair next Friday, is anything free after five?",
		"russian": "Здравствуйте, сколько стоит стрижка на длинные волосы?",
		"escapes": `Hello!\n\nHow much is a \"long\" haircut next Friday? 😀\nIs anything free after 5?`,
	} {
		out[name] = fmt.Appendf(nil, `{"v":1,"id":"01JD4M7ZK3Q8X2RTWY","type":"message",`+
			`"time":"2026-11-02T10:15:30.250+02:00","conversation_id":"c-48213","tenant":"salon7",`+
			`"channel":"whatsapp","actor":{"kind":"customer","id":"cu-7781"},"lang":"en",`+
			`"message":{"text":"%s"}}`, text)
	}
	return out
}

func BenchmarkDecode(b *testing.B) {
	for name, value := range lifelike() {
		b.Run(name, func(b *testing.B) {
			d := NewDecoder(Limits{})
			var ev Event
			b.SetBytes(int64(len(value)))
			b.ReportAllocs()
			for b.Loop() {
				if rej := d.Decode(value, testEnvelope, &ev); rej != nil {
					b.Fatal(rej)
				}
			}
		})
	}
}

// BenchmarkParseAndVisit is the floor: fastjson alone, every object visited, nothing checked.
func BenchmarkParseAndVisit(b *testing.B) {
	value := lifelike()["english"]
	var p fastjson.Parser
	keys := 0
	var visit func(key []byte, v *fastjson.Value)
	visit = func(_ []byte, v *fastjson.Value) {
		keys++
		if v.Type() == fastjson.TypeObject {
			v.GetObject().Visit(visit)
		}
	}
	b.SetBytes(int64(len(value)))
	b.ReportAllocs()
	for b.Loop() {
		v, err := p.ParseBytes(value)
		if err != nil {
			b.Fatal(err)
		}
		v.GetObject().Visit(visit)
	}
}

func BenchmarkAppend(b *testing.B) {
	var ev Event
	if rej := NewDecoder(Limits{}).Decode(lifelike()["english"], testEnvelope, &ev); rej != nil {
		b.Fatal(rej)
	}
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = Append(dst[:0], &ev)
	}
}
