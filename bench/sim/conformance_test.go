package sim

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"usher/pipeline/source/kafka/kafkatest"
)

// subject is a broker under test: the model, the embedded one, or Apache Kafka. Outcomes are words,
// so that they can be compared.
type subject interface {
	producer(id string) subjectProducer
	read() []string // committed values of the topic
	join(instance string) seat
	rejoin(s seat) seat
	commit(s seat, partition int32, at int64, meta string) string
	offset(partition int32, stable bool) string
}

type subjectProducer interface {
	produce(value string) string
	offsets(s seat, partition int32, at int64, meta string) string
	end(commit bool) string
}

type seat struct {
	id, instance string
	generation   int32
}

// word names an outcome.
func word(err error) string {
	for w, errs := range map[string][]error{
		"ok":                 {nil},
		"fenced":             {errFenced, kerr.InvalidProducerEpoch, kerr.ProducerFenced},
		"illegal generation": {errIllegalGeneration, kerr.IllegalGeneration},
		"unknown member":     {errUnknownMember, kerr.UnknownMemberID},
		"fenced instance":    {errFencedInstance, kerr.FencedInstanceID},
		"unstable":           {errUnstable, kerr.UnstableOffsetCommit},
	} {
		for _, e := range errs {
			if errors.Is(err, e) {
				return w
			}
		}
	}
	return err.Error()
}

// behaviours lists what the protocols rely on: a script each, whose outcomes every broker must give.
var behaviours = []struct {
	name   string
	script func(b subject) []string
	want   []string
}{
	{"only committed records are read", func(b subject) []string {
		p := b.producer("t")
		out := []string{p.produce("a"), fmt.Sprint(b.read()), p.end(true), fmt.Sprint(b.read())}
		return append(out, p.produce("b"), p.end(false), fmt.Sprint(b.read()))
	}, []string{"ok", "[]", "ok", "[a]", "ok", "ok", "[a]"}},

	{"a producer that was replaced is fenced, and what it left open is aborted", func(b subject) []string {
		old := b.producer("t")
		out := []string{old.produce("a")}
		next := b.producer("t")
		out = append(out, next.produce("b"), old.produce("c"), next.end(true))
		return append(out, fmt.Sprint(b.read()))
	}, []string{"ok", "ok", "fenced", "ok", "[b]"}},

	{"offsets in a transaction are held to the generation", func(b subject) []string {
		old := b.join("")
		p := b.producer("t")
		now := b.rejoin(old)
		out := []string{p.produce("a"), p.offsets(old, 0, 5, "m")}
		out = append(out, p.offsets(seat{id: "nobody", generation: now.generation}, 0, 5, "m"))
		return append(out, p.offsets(now, 0, 5, "m"), p.end(true), b.offset(0, true))
	}, []string{"ok", "illegal generation", "unknown member", "ok", "ok", "5 m"}},

	{"offsets of an open transaction are unstable, of an aborted one never seen", func(b subject) []string {
		s := b.join("")
		p := b.producer("t")
		out := []string{b.commit(s, 0, 3, "x"), p.produce("a"), p.offsets(s, 0, 5, "m")}
		out = append(out, b.offset(0, true), b.offset(0, false), p.end(false))
		return append(out, b.offset(0, true))
	}, []string{"ok", "ok", "ok", "unstable", "3 x", "ok", "3 x"}},

	{"an unmoved offset in a transaction is unstable too", func(b subject) []string {
		s := b.join("")
		p := b.producer("t")
		out := []string{b.commit(s, 0, 3, "usher 1"), p.produce("a"), p.offsets(s, 0, 3, "usher 2")}
		return append(out, b.offset(0, true), p.end(true), b.offset(0, true))
	}, []string{"ok", "ok", "ok", "unstable", "ok", "3 usher 2"}},

	{"a commit is held to member and generation, not to ownership", func(b subject) []string {
		old := b.join("")
		now := b.rejoin(old)
		return []string{
			b.commit(old, 0, 1, "a"), b.commit(seat{id: "nobody", generation: now.generation}, 0, 1, "a"),
			b.commit(now, 1, 7, "not assigned"), b.offset(0, true), b.offset(1, true),
		}
	}, []string{"illegal generation", "unknown member", "ok", "none", "7 not assigned"}},

	{"a static member that comes back fences its former self in the same generation", func(b subject) []string {
		old := b.join("i")
		now := b.join("i")
		out := []string{fmt.Sprint(old.id != now.id), fmt.Sprint(now.generation - old.generation)}
		return append(out, b.commit(old, 0, 1, "a"), b.commit(now, 0, 2, "b"), b.offset(0, true))
	}, []string{"true", "0", "fenced instance", "ok", "2 b"}},
}

// TestModelBehavesAsKafka plays every behaviour on the model, the embedded broker and, when there is
// one, Apache Kafka.
func TestModelBehavesAsKafka(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for _, x := range behaviours {
		play := func(name string, b subject) {
			got := x.script(b)
			if !slices.Equal(got, x.want) {
				t.Errorf("%s, %s:\n got %q\nwant %q", name, x.name, got, x.want)
			}
		}
		play("model", newModelSubject())
		play("embedded broker", newKafkaSubject(t, cluster.ListenAddrs()[0]))
		if addr := os.Getenv(kafkatest.AddressVariable); addr != "" {
			play("Apache Kafka", newKafkaSubject(t, addr))
		}
	}
}

// TestKafka fails where TestModelBehavesAsKafka would only leave Apache Kafka out.
func TestKafka(t *testing.T) { kafkatest.Address(t) }

// modelSubject is the model.
type modelSubject struct {
	w *World
	g *group
}

func newModelSubject() *modelSubject {
	w := &World{r: rand.New(rand.NewPCG(1, 1)), nowMS: startMS, hash: xxhash.New()}
	w.broker = newBroker(w)
	return &modelSubject{w: w, g: w.broker.newGroup("g", 2)}
}

// pass lets markers be written.
func (m *modelSubject) pass() {
	for until := m.w.nowMS + 100; len(m.w.queue) > 0 && m.w.queue[0].atMS <= until; {
		e := heap.Pop(&m.w.queue).(event)
		m.w.nowMS = e.atMS
		e.do()
	}
}

func (m *modelSubject) read() []string {
	out := []string{}
	for _, r := range m.w.broker.fetch(place{"t", 0}, 0, 100).records {
		if !r.Attrs.IsControl() {
			out = append(out, string(r.Value))
		}
	}
	return out
}

func (m *modelSubject) join(instance string) seat { return m.rejoin(seat{instance: instance}) }

func (m *modelSubject) rejoin(s seat) seat {
	got, err := m.g.join(identity{id: s.id, instance: s.instance}, nil)
	if err != nil {
		panic(err)
	}
	at, err := m.g.sync(got.id)
	if err != nil {
		panic(err)
	}
	return seat{got.id, s.instance, int32(at.generation)}
}

func (s seat) identity() identity { return identity{s.id, s.instance, int(s.generation)} }

func (m *modelSubject) commit(s seat, partition int32, at int64, meta string) string {
	return word(m.g.commit(s.identity(), partition, offset{at, meta}, false))
}

func (m *modelSubject) offset(partition int32, stable bool) string {
	o, err := m.g.fetch(partition, stable)
	return showOffset(o.at, o.meta, err)
}

func showOffset(at int64, meta string, err error) string {
	switch {
	case err != nil:
		return word(err)
	case at < 0:
		return "none"
	}
	return fmt.Sprintf("%d %s", at, meta)
}

type modelProducer struct {
	m          *modelSubject
	pid        int64
	epoch, seq int
}

func (m *modelSubject) producer(id string) subjectProducer {
	for {
		t, epoch, err := m.w.broker.initProducer(id)
		if err == nil {
			return &modelProducer{m, t.pid, epoch, 0}
		}
		m.pass()
	}
}

func (p *modelProducer) produce(value string) string {
	p.seq++
	return word(p.m.w.broker.produce(p.pid, p.epoch, place{"t", 0}, p.seq-1,
		[]*kgo.Record{{Value: []byte(value)}}))
}

func (p *modelProducer) offsets(s seat, partition int32, at int64, meta string) string {
	return word(p.m.w.broker.commitOffsets(p.pid, p.epoch, p.m.g, s.identity(),
		map[int32]offset{partition: {at, meta}}))
}

func (p *modelProducer) end(commit bool) string {
	next, err := p.m.w.broker.endTxn(p.pid, p.epoch, commit)
	p.epoch, p.seq = next, 0
	p.m.pass()
	return word(err)
}

// kafkaSubject is a real broker, spoken to request by request where a client would hide something.
type kafkaSubject struct {
	t     *testing.T
	addr  string
	topic string
	group string
	cl    *kgo.Client
}

func newKafkaSubject(t *testing.T, addr string) *kafkaSubject {
	t.Helper()
	name := kafkatest.Name("sim")
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	k := &kafkaSubject{t: t, addr: addr, topic: name, group: name, cl: cl}
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 2, 1, nil, name); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *kafkaSubject) read() []string {
	k.t.Helper()
	ends, err := kadm.NewClient(k.cl).ListCommittedOffsets(k.t.Context(), k.topic)
	if err != nil {
		k.t.Fatal(err)
	}
	end, _ := ends.Lookup(k.topic, 0)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{k.topic: {0: kgo.NewOffset().AtStart()}}))
	if err != nil {
		k.t.Fatal(err)
	}
	defer cl.Close()
	out := []string{}
	for next := int64(0); next < end.Offset; {
		cl.PollFetches(k.t.Context()).EachRecord(func(r *kgo.Record) {
			next = r.Offset + 1
			if !r.Attrs.IsControl() {
				out = append(out, string(r.Value))
			}
		})
	}
	return out
}

func (k *kafkaSubject) join(instance string) seat { return k.rejoin(seat{instance: instance}) }

// rejoin joins as the only member, which is the leader of its group.
func (k *kafkaSubject) rejoin(s seat) seat {
	k.t.Helper()
	var resp *kmsg.JoinGroupResponse
	for {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.MemberID, req.ProtocolType = k.group, s.id, "consumer"
		req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, 20_000
		if s.instance != "" {
			req.InstanceID = &s.instance
		}
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = "test", fmt.Appendf(nil, "%d", s.generation)
		req.Protocols = append(req.Protocols, p)
		var err error
		if resp, err = req.RequestWith(k.t.Context(), k.cl); err != nil {
			k.t.Fatal(err)
		}
		err = kerr.ErrorForCode(resp.ErrorCode)
		s.id = resp.MemberID
		if err == nil {
			break
		}
		if !errors.Is(err, kerr.MemberIDRequired) && !kerr.IsRetriable(err) {
			k.t.Fatal(err)
		}
	}
	s.generation = resp.Generation
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.Generation, sync.MemberID = k.group, s.generation, s.id
	protocol, kind := "test", "consumer"
	sync.Protocol, sync.ProtocolType = &protocol, &kind
	if s.instance != "" {
		sync.InstanceID = &s.instance
	}
	a := kmsg.NewSyncGroupRequestGroupAssignment()
	a.MemberID, a.MemberAssignment = s.id, []byte("x")
	sync.GroupAssignment = append(sync.GroupAssignment, a)
	got, err := sync.RequestWith(k.t.Context(), k.cl)
	if err == nil {
		err = kerr.ErrorForCode(got.ErrorCode)
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return s
}

func (k *kafkaSubject) commit(s seat, partition int32, at int64, meta string) string {
	k.t.Helper()
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID = k.group, s.generation, s.id
	if s.instance != "" {
		req.InstanceID = &s.instance
	}
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic, t.TopicID = k.topic, k.topicID()
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, at, &meta
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(k.t.Context(), k.cl)
	if err != nil {
		k.t.Fatal(err)
	}
	return word(kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
}

func (k *kafkaSubject) topicID() [16]byte {
	all, err := kadm.NewClient(k.cl).ListTopics(k.t.Context(), k.topic)
	if err != nil {
		k.t.Fatal(err)
	}
	return all[k.topic].ID
}

func (k *kafkaSubject) offset(partition int32, stable bool) string {
	k.t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable, req.Group = stable, k.group
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = k.topic, []int32{partition}
	req.Topics = append(req.Topics, t)
	g := kmsg.NewOffsetFetchRequestGroup()
	gt := kmsg.NewOffsetFetchRequestGroupTopic()
	gt.Topic, gt.TopicID, gt.Partitions = k.topic, k.topicID(), []int32{partition}
	g.Group, g.Topics = k.group, append(g.Topics, gt)
	req.Groups = append(req.Groups, g)
	// Without retries: the client would wait for an unstable offset, as the protocols do.
	broker := k.coordinator()
	resp, err := broker.Request(k.t.Context(), req)
	if err != nil {
		k.t.Fatal(err)
	}
	r := resp.(*kmsg.OffsetFetchResponse)
	for _, g := range r.Groups {
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				return showOffset(p.Offset, metaOf(p.Metadata), kerr.ErrorForCode(p.ErrorCode))
			}
		}
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			return showOffset(p.Offset, metaOf(p.Metadata), kerr.ErrorForCode(p.ErrorCode))
		}
	}
	return "none"
}

func metaOf(m *string) string {
	if m == nil {
		return ""
	}
	return *m
}

func (k *kafkaSubject) coordinator() *kgo.Broker {
	var err error
	for range 200 { // a new broker makes its offsets topic first
		c := kadm.NewClient(k.cl).FindGroupCoordinators(k.t.Context(), k.group)[k.group]
		if err = c.Err; err == nil {
			return k.cl.Broker(int(c.NodeID))
		}
		time.Sleep(100 * time.Millisecond)
	}
	k.t.Fatal(err)
	return nil
}

type kafkaProducer struct {
	k    *kafkaSubject
	cl   *kgo.Client
	id   string
	open bool
}

func (k *kafkaSubject) producer(id string) subjectProducer {
	k.t.Helper()
	id = k.group + id
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.addr), kgo.TransactionalID(id),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DefaultProduceTopic(k.topic),
		kgo.TransactionTimeout(8*time.Second), kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(cl.Close)
	if _, _, err := cl.ProducerID(k.t.Context()); err != nil {
		k.t.Fatal(err)
	}
	return &kafkaProducer{k: k, cl: cl, id: id}
}

func (p *kafkaProducer) produce(value string) string {
	if !p.open {
		if err := p.cl.BeginTransaction(); err != nil {
			return word(err)
		}
		p.open = true
	}
	ctx, cancel := context.WithTimeout(p.k.t.Context(), 20*time.Second)
	defer cancel()
	return word(p.cl.ProduceSync(ctx, &kgo.Record{Value: []byte(value)}).FirstErr())
}

func (p *kafkaProducer) offsets(s seat, partition int32, at int64, meta string) string {
	ctx := p.k.t.Context()
	pid, epoch, err := p.cl.ProducerID(ctx)
	if err != nil {
		return word(err)
	}
	add := kmsg.NewPtrAddOffsetsToTxnRequest()
	add.TransactionalID, add.ProducerID, add.ProducerEpoch, add.Group = p.id, pid, epoch, p.k.group
	added, err := add.RequestWith(ctx, p.cl)
	if err == nil {
		err = kerr.ErrorForCode(added.ErrorCode)
	}
	if err != nil {
		return word(err)
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = p.id, pid, epoch, p.k.group
	req.Generation, req.MemberID = s.generation, s.id
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic, t.TopicID = p.k.topic, p.k.topicID()
	part := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	part.Partition, part.Offset, part.Metadata = partition, at, &meta
	t.Partitions = append(t.Partitions, part)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, p.cl)
	if err != nil {
		return word(err)
	}
	return word(kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode))
}

func (p *kafkaProducer) end(commit bool) string {
	p.open = false
	err := p.cl.EndTransaction(p.k.t.Context(), kgo.TransactionEndTry(commit))
	// Markers are written after the answer; the protocols wait by reading stable offsets.
	for range 100 {
		if p.k.offset(0, true) != "unstable" && p.settled() {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return word(err)
}

// settled reports whether the topic's marker is there: nothing after the last stable offset.
func (p *kafkaProducer) settled() bool {
	adm := kadm.NewClient(p.k.cl)
	stable, err := adm.ListCommittedOffsets(p.k.t.Context(), p.k.topic)
	if err != nil {
		p.k.t.Fatal(err)
	}
	ends, err := adm.ListEndOffsets(p.k.t.Context(), p.k.topic)
	if err != nil {
		p.k.t.Fatal(err)
	}
	a, _ := stable.Lookup(p.k.topic, 0)
	b, _ := ends.Lookup(p.k.topic, 0)
	return a.Offset == b.Offset
}
