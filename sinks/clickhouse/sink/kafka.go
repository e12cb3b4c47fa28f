package sink

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"usher/sinks/clickhouse/deliver"
	"usher/sinks/clickhouse/schema"
)

// errDoubt marks a commit whose outcome is unknown: neither acknowledged nor refused.
var errDoubt = errors.New("the outcome is unknown")

// Timeouts of requests to the broker.
const (
	requestTimeout = 10 * time.Second
	renewTimeout   = 30 * time.Second
	renewPoll      = 20 * time.Millisecond
)

// kafka is the broker of a Sink.
type kafka struct {
	cfg   *Config
	cl    *kgo.Client
	adm   *kadm.Client
	ready chan struct{} // closed when cl and adm are set
	node  atomic.Int32  // the group's coordinator, noNode when it must be looked up
}

func (k *kafka) membership() membership {
	member, generation := k.cl.GroupMetadata()
	return membership{member: member, generation: generation}
}

func (k *kafka) resume(partition int32) {
	k.cl.ResumeFetchPartitions(map[string][]int32{k.cfg.Topic: {partition}})
}

// fetch reads the committed offset, its metadata and what they must be held to.
func (k *kafka) fetch(ctx context.Context, partition int32) (f deliver.Fetched, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	fail := func(err error) (deliver.Fetched, error) {
		return f, fmt.Errorf("cannot read the committed offset of %s/%d: %w", k.cfg.Topic, partition, err)
	}
	topics, err := k.adm.ListTopics(ctx, k.cfg.Topic)
	if err != nil {
		return fail(err)
	}
	if err := topics[k.cfg.Topic].Err; err != nil {
		return fail(err)
	}
	f.TopicID = schema.UUID(topics[k.cfg.Topic].ID)
	starts, err := k.adm.ListStartOffsets(ctx, k.cfg.Topic)
	if err != nil {
		return fail(err)
	}
	start, ok := starts.Lookup(k.cfg.Topic, partition)
	if !ok {
		return fail(errors.New("the partition is gone"))
	}
	if start.Err != nil {
		return fail(start.Err)
	}
	f.LogStart, f.Offset = start.Offset, -1
	offsets, err := k.adm.FetchOffsetsForTopics(kadm.RequireStable(ctx), k.cfg.Group, k.cfg.Topic)
	if err != nil {
		return fail(err)
	}
	if o, ok := offsets.Lookup(k.cfg.Topic, partition); ok {
		if o.Err != nil {
			return fail(o.Err)
		}
		f.Offset, f.Meta = o.At, o.Metadata
	}
	return f, nil
}

// commit sends one partition's offset and metadata under the attempt's own member and generation,
// which the broker compares with the group's. The request is made here and not by the consumer,
// because the consumer would stamp the generation of the moment.
func (k *kafka) commit(
	ctx context.Context, m membership, partition int32, a *deliver.Action,
) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	req := k.commitRequest(m, partition, a)
	fail := func(err error) error {
		return fmt.Errorf("cannot commit offset %d of %s/%d: %w", a.Offset, k.cfg.Topic, partition, err)
	}
	coordinator, err := k.coordinator(ctx)
	if err != nil {
		return fail(err) // nothing was sent
	}
	// To this broker and once: the client's own retries would hide that a first copy of the request
	// may still be on its way.
	answer, err := k.cl.Broker(coordinator).Request(ctx, req)
	if err != nil {
		k.node.Store(noNode)
		return fail(fmt.Errorf("%w: %w", errDoubt, err))
	}
	resp, ok := answer.(*kmsg.OffsetCommitResponse)
	if !ok {
		return fail(fmt.Errorf("%w: the broker answered another request", errDoubt))
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return fail(fmt.Errorf("%w: the broker's answer has no partition", errDoubt))
	}
	if err := kerr.ErrorForCode(resp.Topics[0].Partitions[0].ErrorCode); err != nil {
		k.node.Store(noNode) // it may have moved
		return fail(err)
	}
	return nil
}

// noNode is the node of a coordinator that must be looked up.
const noNode = -1

// coordinator is the broker that keeps the group's offsets.
func (k *kafka) coordinator(ctx context.Context) (int, error) {
	if node := k.node.Load(); node != noNode {
		return int(node), nil
	}
	found, ok := k.adm.FindGroupCoordinators(ctx, k.cfg.Group)[k.cfg.Group]
	if !ok {
		found.Err = errors.New("no broker named one")
	}
	if found.Err != nil {
		return 0, fmt.Errorf("cannot find the coordinator of group %s: %w", k.cfg.Group, found.Err)
	}
	k.node.Store(found.NodeID)
	return int(found.NodeID), nil
}

func (k *kafka) commitRequest(
	m membership, partition int32, a *deliver.Action,
) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation, req.MemberID = k.cfg.Group, m.generation, m.member
	if k.cfg.InstanceID != "" {
		req.InstanceID = &k.cfg.InstanceID
	}
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic, topic.TopicID = k.cfg.Topic, a.TopicID
	part := kmsg.NewOffsetCommitRequestTopicPartition()
	part.Partition, part.Offset, part.LeaderEpoch = partition, a.Offset, a.Epoch
	part.Metadata = &a.Meta
	topic.Partitions = append(topic.Partitions, part)
	req.Topics = append(req.Topics, topic)
	return req
}

// renew implements broker.
func (k *kafka) renew(ctx context.Context, old membership) error {
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	k.cl.ForceRebalance()
	tick := time.NewTicker(renewPoll)
	defer tick.Stop()
	for k.membership() == old {
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot renew the group's generation: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
