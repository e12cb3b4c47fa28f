package fieldmap

import (
	"encoding/json"
	"testing"
	"unicode/utf8"
)

// FuzzMap holds the mapper to encoding/json: what comes out of a legal document is legal, and the
// fields say what the document says.
func FuzzMap(f *testing.F) {
	for _, seed := range []string{
		`{"id":"1","time":5,"conversation_id":"c","actor":{"kind":"bot","id":7},"message":{"text":"a\"\\b"}}`,
		`{"message":{"text":"\ud83d\ude00 \u00e9"},"lang":"pl","attrs":{"a":1,"b":[{}],"c":"}"}}`,
		` { "seq" : "12" , "message" : { "text" : "x" , "public" : "true" } , "x" : [ 1 , { "lang" : "no" } ] } `,
		`{"time":"2023-01-01 10:00:00","contact_provided":{"kinds":"email"},"l\u0061ng":"de"}`,
		`{"a":{"message":{"text":"no"}},"message":"no object","lang":null,"channel":""}`, `{}`, `[]`, `{"lang":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		mapper, err := New(Config{Map: map[string]string{"region": "message.text"}})
		if err != nil {
			t.Fatal(err)
		}
		out, rejected := mapper.Map(nil, src, nil)
		if rejected != nil || !json.Valid(src) || !utf8.Valid(src) {
			return
		}
		var in, mapped struct {
			Lang    any
			Region  any
			Channel any
			Message struct{ Text any }
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q, which is no JSON", src, out)
		}
		if exact(src, &in) != nil || exact(out, &mapped) != nil {
			return
		}
		same := func(field string, want, got any) {
			if text, isText := want.(string); isText && text != "" && want != got {
				t.Errorf("%q became %q: %s is %q, want %q", src, out, field, got, want)
			}
		}
		same("lang", in.Lang, mapped.Lang)
		same("channel", in.Channel, mapped.Channel)
		same("message.text", in.Message.Text, mapped.Message.Text)
		same("region", in.Message.Text, mapped.Region)
	})
}

// exact is json.Unmarshal but for its folding of case: usher's keys are exact.
func exact(b []byte, dst any) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return err
	}
	kept := map[string]json.RawMessage{}
	for _, key := range []string{"lang", "region", "channel", "message"} {
		if raw, there := object[key]; there {
			kept[key] = raw
		}
	}
	var message map[string]json.RawMessage
	if json.Unmarshal(kept["message"], &message) == nil {
		text, err := json.Marshal(map[string]json.RawMessage{"text": message["text"]})
		if err != nil {
			return err
		}
		kept["message"] = text
	}
	again, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return json.Unmarshal(again, dst)
}
