package sim

import (
	"context"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/pipeline/source/kafka/kafkatest"
)

// TestStaticMemberDiesWhileItGivesUp: a member with an instance id is told to give a partition to
// another, dies before it has, and comes back. The group goes on as it was, without a rebalance, and
// the partition is nobody's until the member asks for one. The simulation found this (seed 220).
func TestStaticMemberDiesWhileItGivesUp(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	staticMemberDies(t, cluster.ListenAddrs()[0])
	if addr := os.Getenv(kafkatest.AddressVariable); addr != "" {
		staticMemberDies(t, addr)
	}
}

func staticMemberDies(t *testing.T, addr string) {
	k := newKafkaSubject(t, addr)
	client := func(instance string, opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append([]kgo.Opt{
			kgo.SeedBrokers(addr), kgo.ConsumerGroup(k.group), kgo.ConsumeTopics(k.topic),
			kgo.InstanceID(instance), kgo.Balancers(kgo.CooperativeStickyBalancer()),
			kgo.SessionTimeout(20 * time.Second), kgo.HeartbeatInterval(200 * time.Millisecond),
			kgo.MetadataMinAge(50 * time.Millisecond),
		}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		return cl
	}
	var lines wires
	var once sync.Once
	revoked, release := make(chan struct{}), make(chan struct{})
	first := client("a", kgo.Dialer(lines.dial),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, p map[string][]int32) {
			if len(p) > 0 {
				lines.cut()
				once.Do(func() { close(revoked) })
				<-release
			}
		}))
	k.owned(2, 10*time.Second)
	second := client("b")
	defer second.Close()
	select {
	case <-revoked:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing was revoked")
	}
	back := client("a")
	defer back.Close()
	defer first.Close()
	defer close(release)
	if n := k.owned(2, 6*time.Second); n == 2 {
		t.Log("every partition has an owner without asking")
	} else {
		t.Logf("%d of 2 partitions have an owner", n)
	}
	back.ForceRebalance()
	if n := k.owned(2, 10*time.Second); n != 2 {
		t.Errorf("%d of 2 partitions have an owner after a rebalance was asked for", n)
	}
}

// owned waits until that many partitions have an owner, and says how many have.
func (k *kafkaSubject) owned(want int, most time.Duration) int {
	k.t.Helper()
	n := 0
	for deadline := time.Now().Add(most); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		groups, err := kadm.NewClient(k.cl).DescribeGroups(k.t.Context(), k.group)
		if err != nil {
			continue
		}
		set := groups.AssignedPartitions()
		if n = len(set[k.topic]); n == want && groups[k.group].State == "Stable" {
			return n
		}
	}
	return n
}

// wires are the connections of a client that is to die.
type wires struct {
	sync.Mutex
	conns []net.Conn
	dead  bool
}

func (w *wires) dial(ctx context.Context, network, host string) (net.Conn, error) {
	w.Lock()
	defer w.Unlock()
	if w.dead {
		return nil, net.ErrClosed
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err == nil {
		w.conns = append(w.conns, c)
	}
	return c, err
}

func (w *wires) cut() {
	w.Lock()
	defer w.Unlock()
	w.dead = true
	for _, c := range w.conns {
		_ = c.Close()
	}
}
