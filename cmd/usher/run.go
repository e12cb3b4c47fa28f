package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"usher/cmd/usher/internal/config"
	"usher/pipeline"
	"usher/pipeline/classify"
	"usher/sinks/clickhouse/rollup"
)

// runRun is `usher run`: the stages that were asked for, until a signal comes or one must stop.
func runRun(ctx context.Context, o runOptions) error {
	opts, err := kafkaOptions(o.Config.Kafka)
	if err != nil {
		return err
	}
	instance, err := instanceID(o.Config, "")
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	g, ctx := errgroup.WithContext(ctx)
	p := process{runOptions: o, instance: instance, opts: opts, reg: reg, ready: &readiness{}}
	p.topics = sync.OnceValue(func() error { return createTopics(ctx, o, opts) })
	if o.Only != "sink" {
		if err := p.goRoute(ctx, g); err != nil {
			return err
		}
	}
	if o.Only != "route" {
		if err := p.goSink(ctx, g); err != nil {
			return err
		}
	}
	if err := p.goSamples(ctx, g, reg); err != nil {
		return err
	}
	if err := p.goAdmin(ctx, g, reg); err != nil {
		return err
	}
	o.Log.Info("usher runs", "instance", instance, "only", o.Only, "admin", o.Config.Admin.Addr)
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	o.Log.Info("usher has ended") // a worker that had to leave a transaction in doubt has said so
	return nil
}

func createTopics(ctx context.Context, o runOptions, opts []kgo.Opt) error {
	if !o.Config.Topics.Create {
		return nil
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	findings, err := await(ctx, patience{log: o.Log}, whatKafka, func() ([]string, error) {
		return applyTopics(ctx, kadm.NewClient(cl), o.Config,
			topicsOptions{events: eventPartitions, rows: rowPartitions, replication: -1},
			func(line string) { o.Log.Info(line) })
	})
	if err != nil {
		return fmt.Errorf("cannot set up the topics: %w", err)
	}
	for _, f := range findings {
		o.Log.Warn(f)
	}
	return nil
}

// process is what the stages of one usher run share.
type process struct {
	runOptions
	instance string
	opts     []kgo.Opt
	reg      prometheus.Registerer
	ready    *readiness
	routes   []adminRoute // of the admin address, beside metrics and health
	topics   func() error // creates them, if that is wanted, once
}

// What a process waits for at its start, for messages.
const (
	whatKafka = "Kafka and the topics"
	whatStore = "ClickHouse"
)

// kafkaOf are the client options of one stage, whose brokers' silence makes the process unready.
func (p *process) kafkaOf() []kgo.Opt {
	beat := newPulse()
	p.ready.add("kafka", beat.unready)
	return append(append([]kgo.Opt{}, p.opts...), kgo.WithHooks(beat))
}

func (p *process) goRoute(ctx context.Context, g *errgroup.Group) error {
	// A model acts alone only where usher accept has shown that it may.
	line, err := lineConfig(p.Config, runLine(p.Config))
	if err != nil {
		return err
	}
	if line.Brains, err = pipeline.NewBrains(line.Brain()); err != nil {
		return err
	}
	s, err := storeOf(p.Config)
	if err != nil {
		return err
	}
	k := newKeeper(p, s, line.Brains)
	k.look(ctx)
	g.Go(func() error { return k.run(ctx) })
	api, err := classify.New(classify.Config{Line: line, Fallback: k.fellBack})
	if err != nil {
		return err
	}
	p.routes = append(p.routes, adminRoute{"/v1/classify", api}, adminRoute{"/v1/openapi.json", api})
	metrics, opts := pipeline.NewMetrics(p.reg), p.kafkaOf()
	p.ready.expect("route", "its topics")
	g.Go(func() error {
		if err := p.topics(); err != nil {
			return err
		}
		return runRouter(ctx, p.Config, routerSettings{
			Brokers: p.Config.Kafka.Brokers, Instance: p.instance, Line: line, Opts: opts, Log: p.Log,
			Metrics: metrics, Ready: p.ready, Patience: patience{log: p.Log},
		})
	})
	return nil
}

func (p *process) goSink(ctx context.Context, g *errgroup.Group) error {
	at, err := configuredClickHouse(p.Config)
	if err != nil {
		return err
	}
	conn, err := openClickHouse(at)
	if err != nil {
		return err
	}
	kafka := p.kafkaOf()
	k, err := newSink(p.Config, sinkSettings{
		Kafka: kafka, Instance: p.instance, Conn: conn, Log: p.Log, Reg: p.reg,
	})
	if err != nil {
		_ = conn.Close()
		return err
	}
	p.ready.add("clickhouse", storeUnready(conn))
	p.ready.expect("sink", "its store and topics")
	daily := rollup.New(rollup.Config{}, rollup.Deps{Conn: conn, Leads: k.Leads, Log: p.Log, Reg: p.reg})
	minutely := newMinuteAudit(minuteAudit{cfg: p.Config, kafka: p.opts, conn: conn, log: p.Log}, p.reg)
	g.Go(func() error {
		defer conn.Close()
		if err := p.awaitSink(ctx, conn, at, kafka); err != nil {
			return err
		}
		p.ready.add("sink", func(_ context.Context, now time.Time) string { return k.Unready(now) })
		both, ctx := errgroup.WithContext(ctx)
		both.Go(func() error { return minutely.run(ctx) })
		both.Go(func() error { return daily.Run(ctx) })
		both.Go(func() error { return k.Run(ctx) })
		return both.Wait()
	})
	return nil
}

// goSamples writes the process's figures for the pipeline board. How far the groups are behind is
// looked at where the sink runs.
func (p *process) goSamples(ctx context.Context, g *errgroup.Group, reg prometheus.Gatherer) error {
	s, err := storeOf(p.Config)
	if err != nil {
		return err
	}
	w := &sampler{gather: reg, store: s, instance: p.instance, log: p.Log}
	if p.Only != "route" {
		w.lag = newLagProbe(p.Config, p.opts)
	}
	g.Go(func() error { return w.run(ctx) })
	return nil
}

// awaitSink waits for what the sink works on, and refuses tables that cannot hold the promise.
func (p *process) awaitSink(ctx context.Context, conn driver.Conn, at clickhouseAt, kafka []kgo.Opt) error {
	_, err := await(ctx, patience{log: p.Log}, whatStore, func() (struct{}, error) {
		if err := pingClickHouse(ctx, conn, at); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, refuseUnfit(ctx, conn)
	})
	if err != nil {
		return err
	}
	if err := p.topics(); err != nil {
		return err
	}
	cl, err := kgo.NewClient(kafka...)
	if err != nil {
		return usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	_, err = await(ctx, patience{log: p.Log}, whatKafka, func() (kadm.TopicDetails, error) {
		return listTopics(ctx, kadm.NewClient(cl), p.Config.Topic(config.RowsTopic))
	})
	return err
}
