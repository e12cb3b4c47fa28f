package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// dead is a dead letter as the router writes it.
func dead(code, offset, value string, more ...kgo.RecordHeader) *kgo.Record {
	header := func(k, v string) kgo.RecordHeader { return kgo.RecordHeader{Key: k, Value: []byte(v)} }
	headers := append(more, header("dlq.reason", "a reason"), header("dlq.code", code),
		header("dlq.topic", "chat.events.v1"), header("dlq.partition", "2"), header("dlq.offset", offset))
	return &kgo.Record{
		Topic: "chat.deadletters.v1", Key: []byte("c-42"), Value: []byte(value), Headers: headers,
	}
}

const (
	deadForeign = `{"v":1,"type":"message","ts":1793181662345,"conversation_id":"c-42",` +
		`"actor":{"kind":"operator","id":"secret name"},"message":{"text":"secret words"}}`
	deadGood = `{"v":1,"id":"9","type":"message","time":1763181662345,"conversation_id":"c-42",` +
		`"actor":{"kind":"customer"},"message":{"text":"secret words"}}`
)

// produceDead writes dead letters in one transaction, beside one that is aborted.
func produceDead(t *testing.T, env []string, letters ...*kgo.Record) {
	t.Helper()
	call{args: []string{"topics", "--apply", "--partitions", "3"}, env: env}.good(t)
	_, addr, _ := strings.Cut(env[0], "=")
	cl, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(addr, ",")...), kgo.TransactionalID("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx := context.Background()
	for _, try := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, r := range letters {
			again := *r
			if err := cl.ProduceSync(ctx, &again).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.EndTransaction(ctx, try); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeadLettersAreListedShownAndReplayed(t *testing.T) {
	env, cl := startFake(t)
	hostile := kgo.RecordHeader{Key: "dlq.code", Value: []byte("spoofed")}
	replayed := []kgo.RecordHeader{
		{Key: replayTopic, Value: []byte("chat.events.v1")}, {Key: replayPartition, Value: []byte("1")},
		{Key: replayOffset, Value: []byte("5")},
	}
	produceDead(t, env,
		dead("field_missing", "10", deadForeign, hostile),
		dead("time_range", "11", deadGood, replayed...),
		dead("json_syntax", "12", "{secret"),
		dead("tombstone", "13", ""))
	run := func(args ...string) ran {
		t.Helper()
		return call{args: append([]string{"deadletters"}, args...), env: env}.run(t)
	}
	list := run("list")
	has(t, "the list", list.stdout, "field_missing", "json_syntax", "chat.events.v1/2:12", "a reason")
	has(t, "the counts", list.err, "4 dead letters: field_missing 1, json_syntax 1")
	if strings.Contains(list.stdout, "secret") || strings.Contains(list.stdout, "spoofed") {
		t.Errorf("the list shows the payload, or believes it:\n%s", list.stdout)
	}
	var d deadLetter
	one := run("list", "--json", "--code", "json_syntax", "--since", "1h")
	if err := json.Unmarshal([]byte(one.stdout), &d); err != nil || d.Offset != 12 || d.Bytes != 7 {
		t.Fatalf("%v: %s", err, one.stdout)
	}
	if r := run("list", "--json", "--since", "2999-01-01"); r.stdout != "" || r.code != exitDone {
		t.Errorf("dead letters of the future: %+v", r)
	}
	show := run("show", d.ID)
	if has(t, "show", show.stdout, `"code": "json_syntax"`); strings.Contains(show.stdout, "{secret") {
		t.Errorf("show prints the payload unasked:\n%s", show.stdout)
	}
	has(t, "show --payload", run("show", d.ID, "--payload").stdout, "{secret")
	if r := run("show", "0:999"); r.code != exitFailed {
		t.Errorf("show of nothing: %+v", r)
	}
	if r := run("replay", "nine"); r.code != exitUsage {
		t.Errorf("a name that is none: %+v", r)
	}
	fix := []string{"replay", "--fix", "time=ts", "--values", "actor.kind:operator=agent", "--code", "field_missing"}
	has(t, "a dry run", run(append(fix, "--dry-run")...).stdout, "1 would be replayed, 0 left out")
	has(t, "without the fix", run("replay", "--code", "field_missing").stdout, "0 replayed", "still field_value 1")
	has(t, "with the fix", run(fix...).stdout, "1 replayed")
	has(t, "all", run("replay").stdout, "1 replayed, 3 left out", "still json_syntax 1", "without a value 1")
	checkReplayed(t, records(t, cl, "chat.events.v1", 2))
}

func checkReplayed(t *testing.T, got []*kgo.Record) {
	t.Helper()
	for _, r := range got {
		var ev struct {
			ID    string `json:"id"`
			Time  int64  `json:"time"`
			Actor struct{ Kind string }
		}
		if err := json.Unmarshal(r.Value, &ev); err != nil {
			t.Fatal(err)
		}
		h := map[string]string{}
		for _, x := range r.Headers {
			h[x.Key] = string(x.Value)
		}
		if h["dlq.code"] != "" || string(r.Key) != "c-42" || h[replayTopic] != "chat.events.v1" {
			t.Errorf("headers %v, key %q", h, r.Key)
		}
		at := h[replayPartition] + ":" + h[replayOffset]
		switch {
		case ev.ID == "9":
			if string(r.Value) != deadGood || at != "1:5" {
				t.Errorf("a replay of a replay says %s: %s", at, r.Value)
			}
		case ev.Time != 1793181662345 || ev.Actor.Kind != "agent" || len(ev.ID) != 32 || at != "2:10":
			t.Errorf("mended: %s from %s", strconv.Quote(string(r.Value)), at)
		}
	}
}
