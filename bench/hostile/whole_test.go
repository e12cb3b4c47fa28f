package hostile

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/pipeline"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
)

// TestHostileRowsAreStoredAsTheyAre stores what came of hostile records in the real engine: every
// block is taken, and the offsets balance there too.
func TestHostileRowsAreStoredAsTheyAre(t *testing.T) {
	conn := enginetest.Open(t)
	const records = 6000
	var blocks []*kgo.Record
	res, err := Run(Config{
		Seed: 9, Records: records, Round: records, CorpusDir: corpusDir, Line: lineConfig(t),
		Metrics: newMetrics(), Keep: func(rec *kgo.Record) {
			if rec.Topic == pipeline.DefaultTopics("").Rows {
				blocks = append(blocks, &kgo.Record{
					Headers: rec.Headers, Value: bytes.Clone(rec.Value), Offset: int64(len(blocks)),
				})
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	lease := schema.Instant(time.Now().Add(time.Hour).UnixMilli())
	for _, rec := range blocks {
		header, err := rows.ParseHeader(rec.Headers)
		if err != nil {
			t.Fatal(err)
		}
		var m rows.Merge
		if err := m.Add(rec.Value, rec.Offset); err != nil {
			t.Fatal(err)
		}
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
			"async_insert": 0, "max_partitions_per_insert_block": 0,
			"input_format_native_allow_types_conversion": 1,
		}))
		query := fmt.Sprintf("INSERT INTO %s (`%s`)", header.Table, strings.Join(m.Names(), "`, `"))
		body := m.Encode(nil, rows.Position{LeaseUntil: lease})
		if err := conn.InsertFormat(ctx, "Native", query, bytes.NewReader(body)); err != nil {
			t.Fatalf("block of %s: %v", header.Table, err)
		}
	}
	got := enginetest.Query(t, conn, "SELECT (SELECT uniqExact(_src_offset) FROM events), "+
		"(SELECT uniqExact(_src_offset) FROM dead_letters), "+
		"(SELECT sum(to_offset - from_offset) FROM delivery_gaps), (SELECT count() FROM events), "+
		"(SELECT countIf(NOT isValidUTF8(id) OR NOT isValidUTF8(text)) FROM events)")
	want := fmt.Sprintf("%d\t%d\t%d\t%d\t0", res.Events, res.DeadLetters, res.Gaps, res.Events)
	if got != want || res.Events+res.DeadLetters+res.Gaps != res.Offsets {
		t.Errorf("events, dead letters, gaps, event rows, invalid texts: %s, want %s of %d offsets", got,
			want, res.Offsets)
	}
}

// logLines counts what a worker logs, and looks for the payload in it.
type logLines struct {
	mu     sync.Mutex
	lines  int
	longer int // the longest
	leaks  int
	last   string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines++
	l.longer = max(l.longer, len(p))
	if bytes.Contains(p, []byte(Canary)) {
		l.leaks++
	}
	l.last = string(p)
	return len(p), nil
}

// What a worker may log of any number of bad records, at the most talkative level.
const (
	logLinesMax = 40
	logLineMax  = 1024
)

// TestHostileRecordsDoNotFillTheLog sends hostile records through a whole worker and a broker.
func TestHostileRecordsDoNotFillTheLog(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	brokers := kgo.SeedBrokers(cluster.ListenAddrs()...)
	cl, err := kgo.NewClient(brokers, kgo.ProducerBatchMaxBytes(8<<20))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm, topics := kadm.NewClient(cl), pipeline.DefaultTopics("")
	large := map[string]*string{"max.message.bytes": kadm.StringPtr("8388608")}
	all := []string{topicEvents, topics.Decisions, topics.DeadLetters, topics.Rows, topics.State}
	for _, name := range all {
		if _, err := adm.CreateTopic(t.Context(), 1, 1, large, name); err != nil {
			t.Fatal(err)
		}
	}
	mut, err := NewMutator(3, corpusDir)
	if err != nil {
		t.Fatal(err)
	}
	const records = 3000
	for range records {
		rec := &kgo.Record{Topic: topicEvents}
		if err := mut.Next(rec); err != nil {
			t.Fatal(err)
		}
		cl.Produce(t.Context(), rec, func(_ *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	log := &logLines{}
	work(t, adm, brokers, cluster.ListenAddrs(), log)
	if log.lines > logLinesMax || log.longer > logLineMax || log.leaks > 0 {
		t.Errorf("%d lines, the longest %d bytes, %d with payload; the last: %s", log.lines, log.longer,
			log.leaks, log.last)
	}
}

// work runs a worker until everything is committed.
func work(t *testing.T, adm *kadm.Client, brokers kgo.Opt, addrs []string, log *logLines) {
	t.Helper()
	line, err := pipeline.NewLine(lineConfig(t), newMetrics())
	if err != nil {
		t.Fatal(err)
	}
	details, err := adm.ListTopics(t.Context(), topicEvents)
	if err != nil {
		t.Fatal(err)
	}
	w := pipeline.NewWorker(pipeline.WorkerConfig{
		Brokers: addrs, Group: "usher.router", Instance: "w0", RowsPartitions: 1,
		Source: pipeline.Source{
			Topic: topicEvents, TopicID: details[topicEvents].ID, Partitions: 1,
		},
		Topics: pipeline.DefaultTopics(""), CommitInterval: 20 * time.Millisecond, CommitRecords: 500,
		RestoreTimeout: 20 * time.Second, ClientOpts: []kgo.Opt{brokers},
	}, line, newMetrics(), slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		ends, err := adm.ListEndOffsets(t.Context(), topicEvents)
		at, err2 := adm.FetchOffsets(t.Context(), "usher.router")
		if err == nil && err2 == nil {
			end, _ := ends.Lookup(topicEvents, 0)
			if o, ok := at.Lookup(topicEvents, 0); ok && o.At == end.Offset {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the worker does not catch up; it said last: %s", log.last)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
