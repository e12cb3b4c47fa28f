package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"usher/cmd/usher/internal/config"
	"usher/pipeline"
	"usher/pipeline/route"
	"usher/pipeline/source/kafka"
	broker "usher/pipeline/source/kafka/embedded"
	"usher/sinks/clickhouse/embedded"
	"usher/sinks/clickhouse/rollup"
	"usher/sinks/clickhouse/sink"
)

// What the embedded broker gets: few partitions, because one machine serves them all.
const (
	demoEventPartitions = 4
	demoRowPartitions   = 2
	demoBatchRecords    = 2000
	demoPlaceTopic      = "usher.player.v1"
	startTries          = 2  // of a child, which says itself why it cannot serve
	playTries           = 10 // of playing, which goes on where it stopped
)

// childMax bounds the wait for a child that died and is started again on its port, which takes a
// second or two: what fails meanwhile is repeated.
const childMax = 30 * time.Second

// The children, for messages.
const (
	whatBroker = "the embedded broker"
	whatEngine = "the embedded engine"
)

// station is everything that an embedded run keeps alive: two children and this process's stages.
type station struct {
	o      demoOptions
	cfg    *config.Config
	log    *slog.Logger
	dir    string
	lock   *os.File
	engine *embedded.Engine
	broker *broker.Broker
	conn   driver.Conn
	key    []byte
	page   string // its address; empty: none
	began  time.Time
}

// runDemo plays the input through broker, router, sink and engine, all embedded.
func runDemo(ctx context.Context, o demoOptions) error {
	s, err := openStation(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	// The stages have a context of their own: on a signal they end after their last transaction.
	stages, stop := context.WithCancel(ctx)
	defer stop()
	g, stages := errgroup.WithContext(stages)
	metrics, reg := newMetrics()
	reg.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	k, err := newSink(s.cfg, sinkSettings{
		Kafka: []kgo.Opt{kgo.SeedBrokers(s.broker.Addr())}, Instance: "demo", Conn: s.conn, Log: s.log,
		Reg: reg,
	})
	if err != nil {
		return err
	}
	if err := s.goPage(stages, g, reg); err != nil {
		return err
	}
	g.Go(func() error { return s.route(stages, metrics) })
	g.Go(func() error { return k.Run(stages) })
	g.Go(func() error { return rollup.New(rollup.Config{}, rollup.Deps{Conn: s.conn, Log: s.log}).Run(stages) })
	g.Go(func() error { return s.sampler(reg).run(stages) })

	done := make(chan error, 1)
	go func() {
		_, err := await(stages, patience{log: s.log, tries: playTries}, whatBroker,
			func() (struct{}, error) { return struct{}{}, s.play(stages) })
		if err == nil {
			err = s.drain(stages, k)
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-stages.Done():
		err = context.Cause(stages)
	}
	if err == nil {
		err = s.summary(ctx)
	}
	if err == nil && !o.Exit {
		err = s.stayOpen(ctx)
	}
	stop()
	if stageErr := g.Wait(); stageErr != nil && !errors.Is(stageErr, context.Canceled) {
		return stageErr
	}
	return err
}

// openStation locks the data directory and starts what the demo runs on.
func openStation(ctx context.Context, o demoOptions) (_ *station, err error) {
	s := &station{o: o, cfg: o.Config, log: demoLog(o), dir: o.DataDir, began: time.Now()}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the data directory: %w", err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.lock, err = lockDir(s.dir); err != nil {
		return nil, err
	}
	if s.key, err = embeddedKey(o.Config, s.dir); err != nil {
		return nil, err
	}
	g, startCtx := errgroup.WithContext(ctx)
	first := patience{log: s.log, tries: startTries}
	g.Go(func() (err error) {
		s.engine, err = await(startCtx, first, whatEngine,
			func() (*embedded.Engine, error) { return startEngine(startCtx, s.dir) })
		return err
	})
	g.Go(func() (err error) {
		s.broker, err = await(startCtx, first, whatBroker,
			func() (*broker.Broker, error) { return startBroker(startCtx, s.dir) })
		return err
	})
	if err := g.Wait(); err != nil {
		return nil, err
	}
	_, err = await(ctx, s.patience(), whatBroker,
		func() (struct{}, error) { return struct{}{}, s.makeTopics(ctx) })
	if err != nil {
		return nil, err
	}
	at := s.clickhouse()
	_, err = await(ctx, s.patience(), whatEngine,
		func() ([]string, error) { return applySchema(ctx, at, s.cfg) })
	if err != nil {
		return nil, err
	}
	s.conn, err = openClickHouse(at)
	return s, err
}

// patience is that with a child that may be just starting again.
func (s *station) patience() patience { return patience{log: s.log, max: childMax} }

// demoLog leaves out what only an operator of servers wants to know; log.level: debug shows all.
func demoLog(o demoOptions) *slog.Logger {
	if o.Config.Log.Level != "info" {
		return o.Log
	}
	return slog.New(slog.NewTextHandler(o.Streams.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (s *station) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	if s.broker != nil {
		if err := s.broker.Close(); err != nil {
			s.log.Warn("the embedded broker did not end cleanly", "error", err)
		}
	}
	if s.engine != nil {
		if err := s.engine.Close(); err != nil {
			s.log.Warn("the embedded engine did not end cleanly", "error", err)
		}
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

// makeTopics makes the topics that are not there yet.
func (s *station) makeTopics(ctx context.Context) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return fmt.Errorf("cannot make a client for the embedded broker: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	o := topicsOptions{events: demoEventPartitions, rows: demoRowPartitions, replication: 1}
	if _, err := applyTopics(ctx, adm, s.cfg, o, func(string) {}); err != nil {
		return fmt.Errorf("cannot make the topics: %w", err)
	}
	_, err = adm.CreateTopic(ctx, 1, 1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")},
		demoPlaceTopic)
	if err != nil && !topicExists(err) {
		return fmt.Errorf("cannot make the topic %s: %w", demoPlaceTopic, err)
	}
	return nil
}

func (s *station) clickhouse() clickhouseAt {
	return clickhouseAt{addr: s.engine.Addr(), database: s.cfg.ClickHouse.Database, user: "default"}
}

// route runs the router's workers.
func (s *station) route(ctx context.Context, metrics *pipeline.Metrics) error {
	line, err := lineConfig(s.cfg, lineSettings{Key: s.key, Mode: route.Live})
	if err != nil {
		return err
	}
	return runRouter(ctx, s.cfg, routerSettings{
		Brokers: []string{s.broker.Addr()}, Instance: "demo", Line: line, Log: s.log, Metrics: metrics,
		Patience: s.patience(),
	})
}

// sampler fills the pipeline board.
func (s *station) sampler(reg prometheus.Gatherer) *sampler {
	at := s.clickhouse()
	return &sampler{
		gather: reg, instance: "demo", log: s.log,
		store: &store{base: "http://" + at.addr + "/", database: at.database, client: &http.Client{}},
		lag:   newLagProbe(s.cfg, []kgo.Opt{kgo.SeedBrokers(s.broker.Addr())}),
	}
}

// play publishes the input, from where an earlier run stopped.
func (s *station) play(ctx context.Context) error {
	in, err := s.openInput()
	if err != nil {
		return err
	}
	defer in.close()
	bar := newBar(s.o.Streams, "playing", in.total)
	defer bar.done()
	var shown int64
	_, err = kafka.Play(ctx, kafka.PlayerConfig{
		Brokers: []string{s.broker.Addr()}, Topic: s.cfg.SourceTopic(&s.cfg.Sources[0]),
		PlaceTopic: demoPlaceTopic, InputID: in.id, BatchRecords: demoBatchRecords, Backfill: true,
		Progress: func(n int64) { bar.add(n - shown); shown = n },
	}, in.next)
	if err == nil {
		err = in.err
	}
	return err
}

// drain waits until everything published has been routed and stored.
func (s *station) drain(ctx context.Context, k *sink.Sink) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr()), kgo.MetadataMinAge(100*time.Millisecond))
	if err != nil {
		return fmt.Errorf("cannot make a client for the embedded broker: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	events := s.cfg.SourceTopic(&s.cfg.Sources[0])
	if err := waitCaughtUp(ctx, adm, s.cfg.Topics.Prefix+"usher.router", events); err != nil {
		return err
	}
	ends, err := adm.ListEndOffsets(ctx, s.cfg.Topic(config.RowsTopic))
	if err != nil {
		return fmt.Errorf("cannot list the ends of the rows topic: %w", err)
	}
	upTo := make(map[int32]int64)
	ends.Each(func(o kadm.ListedOffset) { upTo[o.Partition] = o.Offset })
	return k.Drained(ctx, upTo)
}

// errBehind says that a group has not reached the end of its topic yet.
var errBehind = errors.New("not yet at the end")

// waitCaughtUp waits until the group's committed offsets equal the ends of the topic's partitions.
func waitCaughtUp(ctx context.Context, adm *kadm.Client, group, topic string) error {
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		ends, err := adm.ListEndOffsets(ctx, topic)
		if err != nil {
			return struct{}{}, err
		}
		have, err := adm.FetchOffsets(ctx, group)
		if err != nil {
			return struct{}{}, err
		}
		behind := false
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := have.Lookup(topic, end.Partition)
			if end.Offset > 0 && (!ok || at.At < end.Offset) {
				behind = true
			}
		})
		if behind {
			return struct{}{}, errBehind
		}
		return struct{}{}, nil
	}, backoff.WithBackOff(backoff.NewConstantBackOff(50*time.Millisecond)),
		backoff.WithMaxElapsedTime(0))
	if err != nil {
		return fmt.Errorf("cannot wait until %s is processed: %w", topic, err)
	}
	return nil
}

// stayOpen keeps everything answering until a signal comes: producers may go on publishing.
func (s *station) stayOpen(ctx context.Context) error {
	if s.page != "" {
		fmt.Fprintf(s.o.Streams.out, "\nThe boards are at %s\n", s.page)
	}
	fmt.Fprintf(s.o.Streams.out, "\nStill running: Kafka at %s (topic %s), ClickHouse at http://%s. Ctrl-C ends it.\n",
		s.broker.Addr(), s.cfg.SourceTopic(&s.cfg.Sources[0]), s.engine.Addr())
	<-ctx.Done()
	return nil
}

// embeddedKey is the configured privacy key, else one that is made once and kept in dir.
func embeddedKey(c *config.Config, dir string) ([]byte, error) {
	if err := c.LoadSecrets(); err == nil && c.Privacy.Key.IsSet() {
		return []byte(c.Privacy.Key.Reveal()), nil
	}
	key, err := keepInFile(filepath.Join(dir, "privacy-key"), 32)
	return []byte(key), err
}
