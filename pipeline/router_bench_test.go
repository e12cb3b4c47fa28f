//go:build unix

package pipeline

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sys/unix"

	"usher/bench/gen"
	"usher/features/classifier/demo"
	"usher/features/conversation"
	"usher/pipeline/route"
	broker "usher/pipeline/source/kafka/embedded"
)

const (
	brokerEnv    = "USHER_BENCH_BROKER_DIR" // the child's data directory
	routerEvents = 1_000_000                // in the topic
	routerStep   = 100_000                  // events that each side takes in turn
)

// TestMain makes the test binary its own broker process.
func TestMain(m *testing.M) {
	dir := os.Getenv(brokerEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	err := broker.Serve(context.Background(), broker.ServeConfig{DataDir: dir, Stdin: os.Stdin,
		Topics: []broker.Topic{{Name: testEvents, Partitions: testPartitions}}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// BenchmarkRouter compares the processor time of the router, from fetch to encoded decisions and row
// blocks, with that of bareLoop on the same topic, in turns of routerStep events, so that a noisy
// machine disturbs both. One op is one event. The metrics:
//
//	ratio         router ÷ bare loop, without the changelog and without producing
//	ratio-state   the same with the changelog of the state, as a worker writes it
//	bare-ns       processor time of the bare loop per event
//	allocs/event  of the router, fetch included
//	state-B/conversation, at the end
//
// /rich has the demonstration model, /off no model. The broker is another process: the embedded
// one, or Apache Kafka at USHER_TEST_KAFKA.
func BenchmarkRouter(b *testing.B) {
	address, topic := benchTopic(b)
	model, err := demo.Model()
	if err != nil {
		b.Fatal(err)
	}
	cutoffs, err := route.NewCutoffs(model.Heads()[0].Labels, route.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	rich := LineConfig{Key: testKey, Model: model, Cutoffs: map[string]*route.Cutoffs{"": cutoffs}}
	b.Run("rich", func(b *testing.B) { benchRouter(b, address, topic, rich) })
	b.Run("off", func(b *testing.B) { benchRouter(b, address, topic, LineConfig{Key: testKey}) })
}

// benchTopic fills a topic with lifelike events.
func benchTopic(b *testing.B) (address, topic string) {
	address, topic = os.Getenv("USHER_TEST_KAFKA"), testEvents
	if address == "" {
		program, err := os.Executable()
		if err != nil {
			b.Fatal(err)
		}
		dir := b.TempDir()
		k, err := broker.Start(context.Background(), broker.StartConfig{
			DataDir: dir, Command: []string{program}, Env: []string{brokerEnv + "=" + dir},
			Stderr: os.Stderr,
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = k.Close() })
		address = k.Addr()
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ProducerBatchMaxBytes(1<<20),
		kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(100_000),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	if os.Getenv("USHER_TEST_KAFKA") != "" {
		topic = benchTopicOn(b, cl)
	}
	g, err := gen.New(gen.Config{Seed: 8, Conversations: routerEvents/12 + 1000, EndMS: benchNowMS,
		Broken: -1})
	if err != nil {
		b.Fatal(err)
	}
	var rec gen.Record
	for n := 0; n < routerEvents && g.Next(&rec); n++ {
		cl.Produce(context.Background(), &kgo.Record{Topic: topic,
			Key: append([]byte(nil), rec.Key...), Value: append([]byte(nil), rec.Value...),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	return address, topic
}

const benchNowMS = 1_794_000_000_000

// spent is processor time and allocations.
type spent struct {
	cpu     time.Duration
	mallocs uint64
}

func spending() spent {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic("BUG: getrusage knows itself: " + err.Error())
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return spent{time.Duration(u.Utime.Nano() + u.Stime.Nano()), m.Mallocs}
}

func (s *spent) add(from, to spent) {
	s.cpu += to.cpu - from.cpu
	s.mallocs += to.mallocs - from.mallocs
}

func benchRouter(b *testing.B, address, topic string, cfg LineConfig) {
	var bare, router, state spent
	var side *routerSide
	for done := 0; done < b.N; {
		if side == nil || side.taken+routerStep > routerEvents {
			if side != nil {
				side.client.Close()
			}
			side = newRouterSide(b, address, topic, cfg)
			side.run(routerStep) // fills buffers and interning tables
		}
		n := min(b.N-done, routerStep)
		from := spending()
		bareLoop(b, address, topic, n)
		between := spending()
		bare.add(from, between)
		side.state = spent{}
		side.run(n)
		router.add(between, spending())
		state.add(spent{}, side.state)
		done += n
	}
	side.client.Close()
	events := float64(b.N)
	b.ReportMetric(float64(router.cpu-state.cpu)/float64(bare.cpu), "ratio")
	b.ReportMetric(float64(router.cpu)/float64(bare.cpu), "ratio-state")
	b.ReportMetric(float64(bare.cpu)/events, "bare-ns")
	b.ReportMetric(float64(router.mallocs)/events, "allocs/event")
	b.ReportMetric(side.stateBytes(), "state-B/conversation")
}

// routerSide is a worker without its transactions: the same fetch, line, blocks and changelog.
type routerSide struct {
	b      *testing.B
	client *kgo.Client
	out    *output
	parts  map[int32]*partition
	open   int   // events of the open transaction
	taken  int   // events since the topic's start
	state  spent // on the changelog
}

// Produce implements Producer: what would be sent is dropped.
func (*routerSide) Produce(*kgo.Record) {}

func newRouterSide(b *testing.B, address, topic string, cfg LineConfig) *routerSide {
	line, err := NewLine(cfg, NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		b.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		b.Fatal(err)
	}
	s := &routerSide{b: b, client: client, parts: map[int32]*partition{}}
	s.out = newOutput(RouterConfig{Topics: DefaultTopics(""), RowsPartitions: testPartitions,
		Now: time.Now, State: cfg.State}, line, s)
	for p := range int32(testPartitions) {
		s.parts[p] = newPartition(Source{Topic: topic, Partitions: testPartitions}, p, &Restore{
			table: conversation.NewTable(cfg.State), job: RestoreJob{Committed: Committed{Offset: -1, Seq: -1}},
		})
	}
	s.out.begin(benchNowMS)
	return s
}

// run takes n events, with a transaction's end after every 5,000, the default of commit_records.
func (s *routerSide) run(n int) {
	const perTransaction = 5000
	for n > 0 {
		fetches := s.client.PollRecords(context.Background(), min(n, perTransaction-s.open))
		fetches.EachRecord(func(rec *kgo.Record) {
			if err := s.out.record(s.parts[rec.Partition], rec); err != nil {
				s.b.Fatal(err)
			}
			n--
			s.open++
			s.taken++
		})
		if s.open == perTransaction {
			s.commit()
		}
	}
}

func (s *routerSide) commit() {
	for _, part := range s.parts {
		if !part.touched {
			continue
		}
		s.out.rows(part)
		from := spending()
		s.out.changelog(part)
		s.state.add(from, spending())
		part.table.BeginTransaction()
		part.touched = false
	}
	s.out.begin(benchNowMS)
	s.open = 0
}

// stateBytes is the memory of the state per conversation.
func (s *routerSide) stateBytes() float64 {
	var bytes, conversations float64
	for _, part := range s.parts {
		bytes += float64(part.table.Bytes())
		conversations += float64(part.table.Len())
	}
	return bytes / conversations
}

// benchTopicOn makes a topic of its own on a real broker.
func benchTopicOn(b *testing.B, cl *kgo.Client) string {
	admin := kadm.NewClient(cl)
	topic := "bench-" + strconv.FormatInt(time.Now().UnixNano(), 36)
	if _, err := admin.CreateTopic(context.Background(), testPartitions, 1, nil, topic); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		cl, err := kgo.NewClient(kgo.SeedBrokers(os.Getenv("USHER_TEST_KAFKA")))
		if err == nil {
			_, _ = kadm.NewClient(cl).DeleteTopics(context.Background(), topic)
			cl.Close()
		}
	})
	return topic
}
