package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"

	"usher/cmd/usher/internal/config"
	"usher/features/calendar"
	"usher/features/classifier"
	"usher/features/classifier/demo"
	"usher/features/conversation"
	"usher/pipeline"
	"usher/pipeline/event"
	"usher/pipeline/redact"
	"usher/pipeline/route"
)

// This file is the one place where the parts meet: configuration in, a running router out.

// lineSettings are what the configuration leaves open: embedded commands act on the demo model
// without proof and say so, run does not (CONTRACT section 3).
type lineSettings struct {
	Key  []byte
	Mode route.Mode // for models whose configuration names no mode
	// InMemory reads the model instead of mapping it: who copies a new model over the file of a
	// process that runs for months would pull the map from under it.
	InMemory bool
}

// lineConfig turns the configuration into what a line needs. It loads the model and the rules.
func lineConfig(c *config.Config, s lineSettings) (pipeline.LineConfig, error) {
	out := pipeline.LineConfig{
		Limits: event.Limits{RecordBytes: int(c.Limits.RecordBytes), Depth: c.Limits.Depth},
		Redact: redact.Config{
			TextBytes: int(c.Limits.TextBytes), ConversationIDs: redact.Mode(c.Privacy.ConversationIDs),
		},
		Key: s.Key, StoreText: c.Privacy.StoreText,
		State: conversation.Config{
			Roles: make(map[string][]string), Calendars: make(map[string]*calendar.Calendar),
		},
		AutoOff: map[string]bool{"": !c.Classifier.Auto},
		Tenants: make(map[string]pipeline.Tenant), Mode: s.Mode,
	}
	for name := range c.Tenants {
		if err := addTenant(&out, c, name); err != nil {
			return out, err
		}
	}
	var err error
	if out.State.Policies, err = policiesOf(c); err != nil {
		return out, err
	}
	out.State.IdleCapMS = time.Duration(c.Tenant("default").IdleCap).Milliseconds()
	if out.Rules, err = loadRules(c.Rules.File); err != nil {
		return out, err
	}
	if out.Model, err = loadModel(c, &out, s.InMemory); err != nil {
		return out, err
	}
	out.Cutoffs, err = cutoffs(c, out.Model)
	return out, err
}

func addTenant(out *pipeline.LineConfig, c *config.Config, name string) error {
	t := c.Tenant(name)
	zone, err := time.LoadLocation(t.Zone)
	if err != nil {
		return usagef("cannot use tenants.%s.zone: %w; name an IANA zone such as Europe/Riga", name, err)
	}
	w := make(map[string]int64)
	for channel, d := range t.Containment {
		w[channel] = time.Duration(d).Milliseconds()
	}
	out.Tenants[name] = pipeline.Tenant{Zone: zone, ContainmentMS: w}
	out.State.Roles[name] = t.Roles
	if out.State.Calendars[name], err = calendarOf(c, t, zone); err != nil {
		return err
	}
	if t.Auto != nil && !*t.Auto {
		out.AutoOff[name] = true
	}
	return nil
}

// defaultRules are the three rules for deal, request and claim: rules.file: default.
//
//go:embed rules.yaml
var defaultRules []byte

func loadRules(file string) (*route.Rules, error) {
	if file == "" {
		return route.NewRules(nil)
	}
	b, err := defaultRules, error(nil)
	if file != "default" {
		b, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, usagef("cannot read rules.file: %w", err)
	}
	var doc struct {
		Rules []route.Rule `yaml:"rules"`
	}
	if err := yaml.Unmarshal(b, &doc); err != nil {
		return nil, usagef("cannot read the rules in %s: %w", file, err)
	}
	rules, err := route.NewRules(doc.Rules)
	if err != nil {
		return nil, usagef("%s: %w", file, err)
	}
	return rules, nil
}

// loadModel loads the configured model, or the one in the binary when none is configured.
func loadModel(c *config.Config, out *pipeline.LineConfig, inMemory bool) (
	*classifier.Model, error,
) {
	if len(c.Classifier.Models) == 0 {
		return demo.Model()
	}
	m := c.Classifier.Models[0]
	if m.Mode != "" {
		mode, ok := route.ParseMode(m.Mode)
		if !ok {
			return nil, usagef("classifier.models[0].mode is %q; use live, shadow or unproven", m.Mode)
		}
		if mode != route.Live {
			out.Mode = mode
		}
	}
	load := classifier.Load
	if inMemory {
		load = readModel
	}
	model, err := load(m.File)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return model, nil
}

// readModel loads a model file into memory.
func readModel(path string) (*classifier.Model, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot load the model: %w", err)
	}
	model, err := classifier.FromBytes(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return model, nil
}

// modelLayer is what the model file says about its first head: configuration goes over it.
func modelLayer(m *classifier.Model) (layer route.Layer, err error) {
	b, err := json.Marshal(m.Heads()[0].Thresholds)
	if err == nil {
		err = json.Unmarshal(b, &layer)
	}
	if err != nil {
		return layer, fmt.Errorf("cannot read the thresholds of model %s: %w", m.Name(), err)
	}
	return layer, nil
}

// changed is a threshold that the configuration sets: one that equals the default leaves the
// model's own in force.
func changed(have, standard float64) *float64 {
	if have == standard {
		return nil
	}
	return &have
}

// cutoffs compiles the thresholds for every tenant that has its own, and "" for all others.
func cutoffs(c *config.Config, m *classifier.Model) (map[string]*route.Cutoffs, error) {
	head := m.Heads()[0]
	t, standard := c.Classifier.Thresholds, config.Default().Classifier.Thresholds
	limits := route.Limits{SuggestFloor: t.SuggestFloor, MaxSuggestions: t.MaxSuggestions}
	base, err := modelLayer(m)
	if err != nil {
		return nil, err
	}
	own := route.Layer{Cutoff: route.Cutoff{
		AutoAt: changed(t.AutoAt, standard.AutoAt), SuggestAt: changed(t.SuggestAt, standard.SuggestAt),
		MinMargin: changed(t.MinMargin, standard.MinMargin),
	}, Labels: make(map[string]route.Cutoff), Langs: make(map[string]route.LangLayer)}
	for label, x := range t.Labels {
		own.Labels[label] = cutoff(x)
	}
	for lang, x := range t.Langs {
		layer := route.LangLayer{Cutoff: cutoff(x.All()), Labels: make(map[string]route.Cutoff)}
		for label, y := range x.Labels {
			layer.Labels[label] = cutoff(y)
		}
		own.Langs[lang] = layer
	}
	out := make(map[string]*route.Cutoffs)
	add := func(name string, layers ...route.Layer) error {
		cut, err := route.NewCutoffs(head.Labels, limits, layers...)
		if err != nil {
			return usagef("%w", err)
		}
		out[name] = cut
		return nil
	}
	if err := add("", base, own); err != nil {
		return nil, err
	}
	for name := range c.Tenants {
		labels := c.Tenant(name).Labels
		if len(labels) == 0 {
			continue
		}
		layer := route.Layer{Labels: make(map[string]route.Cutoff)}
		for label, x := range labels {
			layer.Labels[label] = cutoff(x)
		}
		if err := add(name, base, own, layer); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func cutoff(x config.Threshold) route.Cutoff {
	return route.Cutoff{
		Auto: x.Auto, AutoAt: x.AutoAt, SuggestAt: x.SuggestAt, MinMargin: x.MinMargin, MinScope: x.MinScope,
	}
}

// routerSettings are what a router needs beside the configuration.
type routerSettings struct {
	Brokers  []string
	Instance string // of this process
	Workers  int    // 0: one per core
	Line     pipeline.LineConfig
	Opts     []kgo.Opt
	Log      *slog.Logger
	Metrics  *pipeline.Metrics
	Ready    *readiness // may be nil
	Patience patience   // with Kafka at the start
}

// runRouter runs the workers of this process for the first source until ctx ends.
func runRouter(ctx context.Context, c *config.Config, s routerSettings) error {
	topics := pipeline.Topics{
		Decisions: c.Topic(config.DecisionsTopic), SLA: c.Topic(config.SLATopic),
		DeadLetters: c.Topic(config.DeadLettersTopic), Rows: c.Topic(config.RowsTopic),
		State: c.Topic(config.StateTopic),
	}
	found, err := await(ctx, s.Patience, whatKafka, func() (foundTopics, error) {
		return inspectTopics(ctx, c, s, topics)
	})
	if err != nil {
		return err
	}
	workers := s.Workers
	if workers == 0 {
		workers = min(runtime.GOMAXPROCS(0), int(found.source.Partitions))
	}
	g, ctx := errgroup.WithContext(ctx)
	for i := range workers {
		line, err := pipeline.NewLine(s.Line, s.Metrics)
		if err != nil {
			return err
		}
		w := pipeline.NewWorker(pipeline.WorkerConfig{
			Brokers: s.Brokers, Group: c.Topics.Prefix + "usher.router",
			Instance: c.Topics.Prefix + "usher." + s.Instance + "." + strconv.Itoa(i),
			Source:   found.source, Topics: topics, RowsPartitions: found.rowsPartitions,
			CommitInterval: time.Duration(c.CommitInterval), CommitRecords: c.CommitRecords,
			RestoreTimeout: time.Duration(c.RestoreTimeout), ClientOpts: s.Opts,
			Timers: pipeline.SLATimers{},
		}, line, s.Metrics, s.Log)
		if s.Ready != nil {
			s.Ready.add("route", func(_ context.Context, now time.Time) string { return w.Unready(now) })
		}
		g.Go(func() error { return w.Run(ctx) })
	}
	return g.Wait()
}

// foundTopics is what the router must know of its topics.
type foundTopics struct {
	source         pipeline.Source
	rowsPartitions int32
}

// inspectTopics looks at the router's topics and refuses what cannot work.
func inspectTopics(ctx context.Context, c *config.Config, s routerSettings, topics pipeline.Topics) (
	f foundTopics, err error,
) {
	first := &c.Sources[0]
	src := pipeline.Source{
		Topic: c.SourceTopic(first), Format: first.Format, ApplyRules: first.ApplyRules,
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.Brokers...)}, s.Opts...)...)
	if err != nil {
		return f, usagef("cannot use the kafka settings: %w", err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	names := []string{src.Topic, topics.Decisions, topics.DeadLetters, topics.Rows, topics.State}
	if len(c.SLA) > 0 {
		names = append(names, topics.SLA)
	}
	details, err := listTopics(ctx, kadm.NewClient(cl), names...)
	if err != nil {
		return f, fmt.Errorf("cannot list the topics of %s: %w", strings.Join(s.Brokers, ", "), err)
	}
	src.TopicID = [16]byte(details[src.Topic].ID)
	src.Partitions = int32(len(details[src.Topic].Partitions))
	if n := int32(len(details[topics.State].Partitions)); n != src.Partitions {
		return f, usagef("cannot start: %s has %d partitions but its changelog %s has %d; a changed "+
			"partition count moves conversations away from their state: create a new events topic and "+
			"another prefix, or set the count back", src.Topic, src.Partitions, topics.State, n)
	}
	src.Compacted = compacted(ctx, cl, src.Topic)
	return foundTopics{src, int32(len(details[topics.Rows].Partitions))}, nil
}

// instanceID is the configured name of this process, else one that is made once and kept in dir:
// a restart must come back under the same transactional ids to fence its predecessor.
func instanceID(c *config.Config, dir string) (string, error) {
	if c.Instance != "" {
		return c.Instance, nil
	}
	if dir == "" {
		host, err := os.Hostname()
		if err != nil {
			return "", usagef("cannot name this process: set instance in the configuration (%w)", err)
		}
		return host, nil
	}
	return keepInFile(filepath.Join(dir, "instance"), 8)
}

// keepInFile returns the text in the file, which is made of random bytes when it is not there.
func keepInFile(path string, bytes int) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(strings.TrimSpace(string(b))) >= 2*bytes {
		return strings.TrimSpace(string(b)), nil
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("cannot read %s: %w", path, err)
	}
	text := randomHex(bytes)
	tmp := path + ".new"
	if err := os.WriteFile(tmp, []byte(text+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return "", fmt.Errorf("cannot write %s: %w", path, err)
	}
	return text, nil
}

func newMetrics() (*pipeline.Metrics, *prometheus.Registry) {
	reg := prometheus.NewRegistry()
	return pipeline.NewMetrics(reg), reg
}
