package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"usher/cmd/usher/internal/config"
)

// topicSpec is a topic as usher needs it.
type topicSpec struct {
	Name       string
	Partitions int32
	Configs    map[string]string
	About      string
}

// The partitions that `usher topics` gives unless told otherwise.
const (
	eventPartitions = 12
	rowPartitions   = 4
)

// recordBytesMax leaves room around a value of 1 MiB for key, headers and the batch.
const recordBytesMax = "2097152"

// topicSpecs lists the topics that a configuration needs; events is the number of partitions of
// the input topics, rows that of the rows topic.
func topicSpecs(c *config.Config, events, rows int32) []topicSpec {
	keep := map[string]string{"cleanup.policy": "delete", "max.message.bytes": recordBytesMax}
	week := maps.Clone(keep)
	week["retention.ms"] = "604800000"
	compact := map[string]string{"cleanup.policy": "compact", "max.message.bytes": recordBytesMax}
	var out []topicSpec
	for i := range c.Sources {
		name := c.SourceTopic(&c.Sources[i])
		out = append(out, topicSpec{name, events, keep, "events, written by producers"})
	}
	out = append(out,
		topicSpec{c.Topic(config.DecisionsTopic), events, keep, "routing decisions"},
		topicSpec{c.Topic(config.SLATopic), events, keep, "SLA events"},
		topicSpec{c.Topic(config.DeadLettersTopic), events, keep, "rejected records, original bytes"},
		topicSpec{c.Topic(config.RowsTopic), rows, week, "row blocks for ClickHouse"},
	)
	for i := range c.Sources {
		out = append(out, topicSpec{stateTopic(c, i), events, compact, "changelog of conversations"})
	}
	return out
}

// stateTopic names the changelog of the i-th source.
func stateTopic(c *config.Config, i int) string {
	if i == 0 {
		return c.Topic(config.StateTopic)
	}
	standard := config.StateTopic + "." + c.Sources[i].Topic
	return c.Topic(standard)
}

type topicsOptions struct {
	print, apply, acls bool
	events, rows       int32
	replication        int16
}

func (a *app) topicsCommand() *cobra.Command {
	o := topicsOptions{}
	c := &cobra.Command{
		Use:   "topics --print|--apply",
		Short: "Print, create and check the Kafka topics",
		Long: `Print the topics that usher needs, or create those that are missing and check those that are
there. A changelog needs exactly as many partitions as its events topic; what does not fit is
reported with exit code 3 and left as it is, because keys would move. --acls prints what each role
has to be allowed.`,
		Example: `  usher topics --print
  usher topics --apply --partitions 24 --replication 3
  usher topics --acls`,
		Args: noArgs,
		RunE: a.do(func(cmd *cobra.Command, _ []string) error {
			if o.print == o.apply && !(o.acls && !o.apply) {
				return usagef("say either --print or --apply")
			}
			if o.events < 1 || o.rows < 1 || o.replication == 0 || o.replication < -1 {
				return usagef("--partitions, --rows-partitions and --replication must be at least 1")
			}
			return a.topics(cmd.Context(), o)
		}),
	}
	f := c.Flags()
	f.BoolVar(&o.print, "print", false, "print the topics and their settings")
	f.BoolVar(&o.apply, "apply", false, "create what is missing, check what is there")
	f.BoolVar(&o.acls, "acls", false, "print the ACLs that each role needs, as kafka-acls commands")
	f.Int32Var(&o.events, "partitions", eventPartitions, "partitions of new topics")
	f.Int32Var(&o.rows, "rows-partitions", rowPartitions, "partitions of the rows topic")
	f.Int16Var(&o.replication, "replication", -1, "replication factor of new topics (-1: the broker's)")
	return c
}

func (a *app) topics(ctx context.Context, o topicsOptions) error {
	if o.acls {
		printACLs(a.out, a.cfg)
	}
	if o.print {
		printTopics(a.out, topicSpecs(a.cfg, o.events, o.rows))
	}
	if !o.apply {
		return nil
	}
	cl, err := a.kafkaClient()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	findings, err := applyTopics(ctx, adm, a.cfg, o, func(line string) { fmt.Fprintln(a.out, line) })
	if err != nil {
		return fmt.Errorf("cannot set up topics of %s: %w", a.brokersText(), err)
	}
	for _, f := range findings {
		fmt.Fprintln(a.out, f)
	}
	if len(findings) > 0 {
		return notHeldf("%d topic settings do not fit", len(findings))
	}
	return nil
}

func printTopics(w io.Writer, specs []topicSpec) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TOPIC\tPARTITIONS\tSETTINGS\tHOLDS")
	for _, s := range specs {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", s.Name, s.Partitions, configText(s.Configs), s.About)
	}
	_ = t.Flush()
}

func configText(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, k+"="+m[k])
	}
	return strings.Join(parts, " ")
}

// applyTopics creates what is missing and returns what does not fit. say reports each topic.
func applyTopics(ctx context.Context, adm *kadm.Client, c *config.Config, o topicsOptions,
	say func(string),
) (findings []string, err error) {
	specs := topicSpecs(c, o.events, o.rows)
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	there, err := adm.ListTopics(ctx, names...)
	if err != nil {
		return nil, err
	}
	follow := eventPartitionsOf(c, there)
	for _, s := range specs {
		if n, ok := follow[s.Name]; ok {
			s.Partitions = n
		}
		d, ok := there[s.Name]
		if ok && d.Err == nil {
			found, err := checkTopic(ctx, adm, s, d, follow)
			if err != nil {
				return findings, err
			}
			findings = append(findings, found...)
			if len(found) == 0 {
				say(fmt.Sprintf("%s: there, %d partitions", s.Name, len(d.Partitions)))
			}
			continue
		}
		if ok && !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
			return findings, fmt.Errorf("cannot look at %s: %w", s.Name, d.Err)
		}
		if err := createTopic(ctx, adm, s, o.replication); err != nil {
			return findings, err
		}
		say(fmt.Sprintf("%s: created, %d partitions", s.Name, s.Partitions))
	}
	return findings, nil
}

func createTopic(ctx context.Context, adm *kadm.Client, s topicSpec, replication int16) error {
	configs := map[string]*string{}
	for k, v := range s.Configs {
		configs[k] = kadm.StringPtr(v)
	}
	_, err := adm.CreateTopic(ctx, s.Partitions, replication, configs, s.Name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return fmt.Errorf("cannot create %s: %w", s.Name, err)
	}
	return nil
}

// checkTopic compares what matters: partitions of changelogs, the clean-up, room for a record.
func checkTopic(ctx context.Context, adm *kadm.Client, s topicSpec, d kadm.TopicDetail,
	follow map[string]int32,
) (findings []string, err error) {
	if n, ok := follow[s.Name]; ok && int(n) != len(d.Partitions) {
		findings = append(findings, fmt.Sprintf(
			"%s: has %d partitions, its events topic %d; make both equal before the first event",
			s.Name, len(d.Partitions), n))
	}
	described, err := adm.DescribeTopicConfigs(ctx, s.Name)
	if err != nil {
		return findings, fmt.Errorf("cannot read the settings of %s: %w", s.Name, err)
	}
	rc, err := described.On(s.Name, nil)
	if err != nil || rc.Err != nil {
		return findings, fmt.Errorf("cannot read the settings of %s: %w", s.Name, errors.Join(err, rc.Err))
	}
	for _, kv := range rc.Configs {
		want, ok := s.Configs[kv.Key]
		have := kv.MaybeValue()
		if !ok || have == want || have == "" || kv.Key == "retention.ms" ||
			kv.Key == "max.message.bytes" && atLeast(have, want) {
			continue
		}
		findings = append(findings, fmt.Sprintf("%s: %s is %s, usher needs %s; mend it with "+
			"kafka-configs --alter --topic %s --add-config %s=%s",
			s.Name, kv.Key, have, want, s.Name, kv.Key, want))
	}
	return findings, nil
}

// atLeast compares two numbers without a sign, written in decimal.
func atLeast(have, want string) bool {
	return len(have) > len(want) || len(have) == len(want) && have >= want
}

// acl is one permission: a resource and what the role does with it.
type acl struct {
	role, kind, name string
	operations       []string
}

// acls lists what each role needs.
func acls(c *config.Config) []acl {
	var out []acl
	topic := func(role, name string, ops ...string) {
		out = append(out, acl{role, "topic", name, append(ops, "Describe")})
	}
	for i := range c.Sources {
		name := c.SourceTopic(&c.Sources[i])
		topic("producer", name, "Write")
		topic("router", name, "Read", "DescribeConfigs")
		topic("router", stateTopic(c, i), "Read", "Write", "DescribeConfigs")
	}
	for _, t := range []string{
		config.DecisionsTopic, config.SLATopic, config.DeadLettersTopic, config.RowsTopic,
	} {
		topic("router", c.Topic(t), "Write")
	}
	topic("sink", c.Topic(config.RowsTopic), "Read")
	topic("reader", c.Topic(config.DecisionsTopic), "Read")
	topic("reader", c.Topic(config.SLATopic), "Read")
	return append(out,
		acl{"router", "group", c.Topics.Prefix + "usher.router", []string{"Read", "Describe"}},
		acl{"sink", "group", c.Topics.Prefix + "usher.sink", []string{"Read", "Describe"}},
		acl{"router", "transactional-id", c.Topics.Prefix + "usher.", []string{"Write", "Describe"}},
	)
}

func printACLs(w io.Writer, c *config.Config) {
	fmt.Fprintln(w, "# Replace the principals User:usher-… by your own.")
	for _, x := range acls(c) {
		pattern := ""
		if x.kind == "transactional-id" {
			pattern = " --resource-pattern-type prefixed"
		}
		ops := make([]string, len(x.operations))
		for i, op := range x.operations {
			ops[i] = "--operation " + op
		}
		fmt.Fprintf(w, "kafka-acls --bootstrap-server %s --add --allow-principal User:usher-%s %s "+
			"--%s %s%s\n", c.Kafka.Brokers[0], x.role, strings.Join(ops, " "), x.kind, x.name, pattern)
	}
}
