package sink_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/enginetest"
	"usher/sinks/clickhouse/rows"
	"usher/sinks/clickhouse/schema"
	"usher/sinks/clickhouse/sink"
)

const (
	partitions = 2
	startDay   = schema.Day(20_760)
)

// bed is a broker with the rows topic, an engine with the schema, and a producer.
type bed struct {
	t       *testing.T
	cluster *kfake.Cluster
	conn    driver.Conn
	cl      *kgo.Client
	opts    []kgo.Opt // of the sinks' clients
	reg     prometheus.Registerer
	next    [partitions]int64 // input offsets used per partition
	events  int
	turns   int
	voids   int
}

func newBed(t *testing.T) *bed {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, sink.DefaultTopic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	b := &bed{t: t, cluster: cluster, conn: enginetest.Open(t)}
	b.cl, err = kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.cl.Close)
	return b
}

// produce writes one transaction as the router does: the rows of n events on each partition.
func (b *bed) produce(n int, day schema.Day, commit bool) {
	b.t.Helper()
	if err := b.cl.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	for p := range int32(partitions) {
		from := b.next[p]
		events := rows.NewBlock[schema.Event](schema.Lookup(schema.TableEvents))
		turns := rows.NewBlock[schema.Turn](schema.Lookup(schema.TableTurns))
		voids := rows.NewBlock[schema.Void](schema.Lookup(schema.TableVoids))
		cycles := rows.NewBlock[schema.Conversation](schema.Lookup(schema.TableConversations))
		for i := range n {
			src := schema.Source{SrcPartition: p, SrcOffset: from + int64(i), Day: day}
			id := fmt.Sprintf("c-%d-%d", p, src.SrcOffset%50)
			dims := schema.Dims{Tenant: "t", ConversationID: id}
			cycle := schema.Cycle{CycleID: id, Cycle: 1}
			events.Append(&schema.Event{Source: src, Dims: dims, ID: fmt.Sprint(src.SrcOffset)})
			if i%3 == 0 {
				turns.Append(&schema.Turn{Source: src, Dims: dims, SinceOffset: src.SrcOffset, Sign: 1})
			}
			if i%7 == 0 {
				voids.Append(&schema.Void{Source: src, Dims: dims, Sign: 1})
			}
			cycles.Append(&schema.Conversation{
				Source: src, Dims: dims, Cycle: cycle, OpenedMonth: day - schema.Day(i%4)*31,
				Revision: uint32(src.SrcOffset),
			})
		}
		if commit {
			b.next[p] += int64(n)
			b.events, b.turns, b.voids = b.events+events.Rows(), b.turns+turns.Rows(), b.voids+voids.Rows()
		}
		for _, block := range []interface {
			Rows() int
			Table() *schema.Table
			EncodeNative([]byte) []byte
		}{events, turns, voids, cycles} {
			h := rows.Header{
				Table: block.Table().Name, Version: schema.Version, Day: day, SrcPartition: p,
				SrcFrom: from, SrcTo: from + int64(n),
			}
			b.cl.Produce(context.Background(), &kgo.Record{
				Topic: sink.DefaultTopic, Partition: p, Value: block.EncodeNative(nil),
				Headers: h.Append(nil),
			}, nil)
		}
	}
	if err := b.cl.Flush(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	if err := b.cl.EndTransaction(b.t.Context(), kgo.TransactionEndTry(commit)); err != nil {
		b.t.Fatal(err)
	}
}

// ends are the end offsets of the rows topic.
func (b *bed) ends() map[int32]int64 {
	b.t.Helper()
	listed, err := kadm.NewClient(b.cl).ListEndOffsets(b.t.Context(), sink.DefaultTopic)
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[int32]int64{}
	listed.Each(func(o kadm.ListedOffset) { out[o.Partition] = o.Offset })
	return out
}

// running is a sink that runs.
type running struct {
	*sink.Sink
	stop func()
}

// run starts a sink over store; small ranges make many of them.
func (b *bed) run(store sink.Store, change func(*sink.Config)) running {
	b.t.Helper()
	cfg := sink.Config{RangeRows: 150, FlushInterval: 50 * time.Millisecond, StopTimeout: 10 * time.Second}
	if change != nil {
		change(&cfg)
	}
	s, err := sink.New(cfg, sink.Deps{
		Kafka: append(b.opts, kgo.SeedBrokers(b.cluster.ListenAddrs()...)), Store: store,
		Log: slog.New(slog.NewTextHandler(b.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
		Reg: b.reg,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(stop)
	return running{s, stop}
}

func (b *bed) drain(s running) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	if err := s.Drained(ctx, b.ends()); err != nil {
		b.t.Fatal(err)
	}
}

// whole fails unless every produced row is stored exactly once.
func (b *bed) whole() {
	b.t.Helper()
	want := fmt.Sprintf("%d\t%d\n%d\t%d\n%d\t%d", b.events, b.events, b.turns, b.turns, b.voids, b.voids)
	var parts []string
	for i, table := range []string{"events", "turns", "voids"} {
		parts = append(parts, fmt.Sprintf("SELECT %d AS i, count() AS n, "+
			"uniqExact(_src_partition, _src_offset) AS d FROM %s", i, table))
	}
	query := "SELECT n, d FROM (" + strings.Join(parts, " UNION ALL ") + ") ORDER BY i"
	if got := enginetest.Query(b.t, b.conn, query); got != want {
		b.t.Errorf("rows and distinct rows of events, turns, voids:\n%s\nwant\n%s", got, want)
	}
	if got := enginetest.Query(b.t, b.conn, "SELECT count(), sum(revision) FROM conversations FINAL"); got !=
		enginetest.Query(b.t, b.conn, "SELECT uniqExact(conversation_id), "+
			"sum(m) FROM (SELECT conversation_id, _opened_month, max(revision) AS m FROM conversations "+
			"GROUP BY conversation_id, _opened_month)") && b.events > 0 && got == "0\t0" {
		b.t.Errorf("conversations: %s", got)
	}
	sums := "SELECT sum(rows) FROM delivery_manifest WHERE `table` = 'events'"
	if got := enginetest.Query(b.t, b.conn, sums); got != fmt.Sprint(b.events) {
		b.t.Errorf("the manifest has %s events, want %d", got, b.events)
	}
	tiles := "SELECT count() FROM (SELECT `from`, lagInFrame(`to`) OVER (PARTITION BY _partition ORDER BY " +
		"`from`) AS before, row_number() OVER (PARTITION BY _partition ORDER BY `from`) AS n FROM " +
		"(SELECT DISTINCT _partition, `from`, `to` FROM delivery_manifest)) WHERE n > 1 AND before > `from`"
	if got := enginetest.Query(b.t, b.conn, tiles); got != "0" {
		b.t.Errorf("%s ranges overlap", got)
	}
}

func TestEveryRowIsStoredOnce(t *testing.T) {
	b := newBed(t)
	// As in production: the instance id is stable, so a restart takes the partitions back.
	static := func(c *sink.Config) { c.InstanceID = "sink-1" }
	s := b.run(sink.NewClickHouse(b.conn), static)
	for i := range 20 {
		b.produce(40, startDay+schema.Day(i/8), i%5 != 3)
	}
	b.drain(s)
	b.whole()
	s.stop()
	b.produce(10, startDay+9, true)
	again := b.run(sink.NewClickHouse(b.conn), static)
	b.drain(again)
	b.whole()
}

func TestAGracefulStopLeavesNothingInDoubt(t *testing.T) {
	b := newBed(t)
	s := b.run(sink.NewClickHouse(b.conn), func(c *sink.Config) { c.FlushInterval = time.Hour })
	b.produce(80, startDay, true)
	deadline := time.Now().Add(20 * time.Second)
	for enginetest.Query(t, b.conn, "SELECT count() > 0 FROM events") == "0" {
		// A range is full before the interval; the rest waits for the stop.
		if time.Now().After(deadline) {
			t.Fatal("no full range was stored")
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.stop()
	offsets, err := kadm.NewClient(b.cl).FetchOffsets(t.Context(), sink.DefaultGroup)
	if err != nil {
		t.Fatal(err)
	}
	ends := b.ends()
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Metadata != "" || o.At != ends[o.Partition] {
			t.Errorf("partition %d ends at %d with intent %q, want %d and none", o.Partition, o.At,
				o.Metadata, ends[o.Partition])
		}
	})
	b.whole()
}

// shaky is a store that loses answers and requests.
type shaky struct {
	sink.Store
	mu   sync.Mutex
	r    *rand.Rand
	lost int
}

var errShaky = errors.New("connection reset")

func (s *shaky) Insert(ctx context.Context, in *sink.Insert) error {
	s.mu.Lock()
	n := s.r.IntN(10)
	if n < 3 {
		s.lost++
	}
	s.mu.Unlock()
	switch n {
	case 0:
		return errShaky // never sent
	case 1:
		return errors.Join(s.Store.Insert(ctx, in), errShaky) // stored, the answer is lost
	case 2: // stored later, when nobody waits any more
		late := *in
		late.Body = append([]byte{}, in.Body...)
		go func() {
			time.Sleep(30 * time.Millisecond)
			_ = s.Store.Insert(context.WithoutCancel(ctx), &late)
		}()
		return errShaky
	}
	return s.Store.Insert(ctx, in)
}

func (s *shaky) ReadBack(
	ctx context.Context, p int32, in *deliver.Intent,
) (map[string]deliver.Stored, error) {
	s.mu.Lock()
	n := s.r.IntN(6)
	s.mu.Unlock()
	if n == 0 {
		return nil, errShaky
	}
	return s.Store.ReadBack(ctx, p, in)
}

func TestNothingIsLostOrDoubledWhenAnswersAreLost(t *testing.T) {
	b := newBed(t)
	store := &shaky{Store: sink.NewClickHouse(b.conn), r: rand.New(rand.NewPCG(3, 4))}
	var mu sync.Mutex
	commits, cut := 0, 0
	b.cluster.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		commits++
		if commits%9 == 5 { // the answer never comes: the connection is cut
			cut++
			return nil, errShaky, true
		}
		if commits%7 == 3 {
			resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
			for _, t := range req.(*kmsg.OffsetCommitRequest).Topics {
				rt := kmsg.NewOffsetCommitResponseTopic()
				rt.Topic, rt.TopicID = t.Topic, t.TopicID
				for _, p := range t.Partitions {
					rp := kmsg.NewOffsetCommitResponseTopicPartition()
					rp.Partition, rp.ErrorCode = p.Partition, kerr.RebalanceInProgress.Code
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			return resp, nil, true
		}
		return nil, nil, false
	})
	s := b.run(store, nil)
	for i := range 12 {
		b.produce(30, startDay+schema.Day(i/6), true)
	}
	b.drain(s)
	time.Sleep(200 * time.Millisecond) // late inserts arrive
	b.whole()
	if store.lost < 10 || cut < 2 {
		t.Errorf("only %d inserts were lost, %d of %d commits cut off", store.lost, cut, commits)
	}
}

func TestSinksThatComeAndGoShareTheWork(t *testing.T) {
	b := newBed(t)
	store := func(seed uint64) *shaky {
		return &shaky{Store: sink.NewClickHouse(b.conn), r: rand.New(rand.NewPCG(seed, 1))}
	}
	abrupt := func(c *sink.Config) { c.StopTimeout = time.Millisecond }
	first := b.run(store(1), nil)
	for i := range 4 {
		b.produce(50, startDay, true)
		second := b.run(store(uint64(i+2)), abrupt) // takes a partition over, then dies
		b.produce(50, startDay, true)
		time.Sleep(300 * time.Millisecond)
		second.stop()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := first.Drained(ctx, b.ends()); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	b.whole()
}

// down is a store that loses every insert into one table.
type down struct {
	sink.Store
	table string
}

func (d *down) Insert(ctx context.Context, in *sink.Insert) error {
	if in.Table.Name == d.table {
		return errShaky
	}
	return d.Store.Insert(ctx, in)
}

func TestARangeCutUnderAnotherConfigurationIsRepeatedAsItWas(t *testing.T) {
	b := newBed(t)
	for range 6 {
		b.produce(40, startDay, true)
	}
	s := b.run(&down{sink.NewClickHouse(b.conn), schema.TableVoids}, func(c *sink.Config) {
		c.RangeRows, c.StopTimeout = 10_000, time.Millisecond
	})
	deadline := time.Now().Add(30 * time.Second)
	for enginetest.Query(t, b.conn, "SELECT count() FROM delivery_manifest") == "0" {
		if time.Now().After(deadline) {
			t.Fatal("no range got as far as its manifest")
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.stop()                                                                // in the middle of a range
	b.opts = []kgo.Opt{kgo.FetchMaxBytes(1), kgo.FetchMaxPartitionBytes(1)} // one batch at a time
	small := func(c *sink.Config) { c.RangeBytes, c.BufferBytes = 2000, 3000 }
	b.drain(b.run(sink.NewClickHouse(b.conn), small))
	b.whole()
}

// half stores half of a turns block once, as no engine should.
type half struct {
	sink.Store
	once sync.Once
	conn driver.Conn
	t    *testing.T
}

func (h *half) Insert(ctx context.Context, in *sink.Insert) (err error) {
	done := false
	if in.Table.Name == schema.TableTurns {
		h.once.Do(func() {
			done = true
			err = h.Store.Insert(ctx, in)
			enginetest.Exec(h.t, h.conn, "ALTER TABLE turns DELETE WHERE _sub % 2 = 1 "+
				"SETTINGS mutations_sync = 1")
			err = errors.Join(err, errShaky)
		})
	}
	if done {
		return err
	}
	return h.Store.Insert(ctx, in)
}

func TestABlockPartlyThereStopsItsPartition(t *testing.T) {
	b := newBed(t)
	b.produce(40, startDay, true)
	s := b.run(&half{Store: sink.NewClickHouse(b.conn), conn: b.conn, t: t}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := s.Drained(ctx, b.ends())
	if !errors.Is(err, deliver.ErrAlarm) || !strings.Contains(err.Error(), "turns holds 7 rows") {
		t.Errorf("drained with %v", err)
	}
}

func TestARecordThatIsNoBlockStopsItsPartition(t *testing.T) {
	b := newBed(t)
	if err := b.cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	b.cl.Produce(t.Context(), &kgo.Record{Topic: sink.DefaultTopic, Value: []byte("hello")}, nil)
	if err := b.cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.cl.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	s := b.run(sink.NewClickHouse(b.conn), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.Drained(ctx, b.ends()); !errors.Is(err, deliver.ErrAlarm) ||
		!strings.Contains(err.Error(), "no row block") {
		t.Errorf("drained with %v", err)
	}
}
