//go:build unix

package broker

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	parentEnv  = "USHER_TEST_BROKER_PARENT_DIR"    // set in a parent that is to be killed
	childEnv   = "USHER_TEST_BROKER_DIR"           // set in the child only
	suicideEnv = "USHER_TEST_BROKER_DIE_IN_ENDTXN" // the child kills itself while a transaction ends

	endsBeforeMax = 4
	endTakes      = 400 * time.Microsecond // about as long as the broker handles the end of one
)

var testTopics = []Topic{{Name: "in", Partitions: 4}, {Name: "out", Partitions: 4}, {Name: "state",
	Partitions: 4}}

// The child of the tests is the test binary itself.
func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		runParent(dir)
	}
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	cfg := ServeConfig{DataDir: dir, Stdin: os.Stdin, Log: log, Topics: testTopics}
	if os.Getenv(suicideEnv) != "" {
		cfg.onEnd = dieWhileEnding(1 + rand.IntN(endsBeforeMax))
	}
	if err := Serve(context.Background(), cfg); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// runParent owns a broker until it is killed.
func runParent(dir string) {
	_ = os.Unsetenv(parentEnv)
	program, err := os.Executable()
	if err == nil {
		var b *Broker
		b, err = Start(context.Background(), StartConfig{DataDir: dir, Command: []string{program},
			Env: []string{childEnv + "=" + dir}, Stderr: os.Stderr})
		if err == nil {
			fmt.Println(b.PID())
			select {}
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// dieWhileEnding kills this process while the n-th end of a transaction is being handled.
func dieWhileEnding(n int) func() {
	return func() {
		if n--; n == 0 {
			wait := time.Duration(rand.IntN(int(endTakes)))
			go func() {
				for since := time.Now(); time.Since(since) < wait; { // a sleep would be too coarse
				}
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			}()
		}
	}
}

func startBroker(t *testing.T, dir string) *Broker {
	t.Helper()
	b, err := tryStart(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func tryStart(t *testing.T, dir string, env ...string) (*Broker, error) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Start(t.Context(), StartConfig{DataDir: dir, Command: []string{program},
		Env: append(env, childEnv+"="+dir), Stderr: os.Stderr})
}

func kill(t *testing.T, b *Broker) {
	t.Helper()
	if err := syscall.Kill(b.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-b.Gone()
}

func clientOpts(addr string, more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{kgo.SeedBrokers(addr), kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
		kgo.DialTimeout(time.Second)}, more...)
}

// copier copies "in" to "out" and "state" in transactions that carry its group's offsets, as the
// router does, and goes on over every death of the broker.
type copier struct {
	addr     string
	attempt  int
	mu       sync.Mutex
	acked    map[string]bool // what a transaction whose end was acknowledged wrote
	restarts atomic.Int64
	commits  atomic.Int64
}

func (c *copier) run(ctx context.Context) {
	for ctx.Err() == nil {
		s, err := kgo.NewGroupTransactSession(clientOpts(c.addr, kgo.TransactionalID("copier"),
			kgo.ConsumerGroup("copy"), kgo.ConsumeTopics("in"),
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.TransactionTimeout(8*time.Second),
			kgo.SessionTimeout(10*time.Second),
			kgo.HeartbeatInterval(50*time.Millisecond), kgo.FetchMaxWait(20*time.Millisecond),
			kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.InstanceID("copier-0"),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
		if err != nil {
			return
		}
		for ctx.Err() == nil {
			if err := c.step(ctx, s); err != nil {
				break // as a router whose transaction cannot go on: a new client with the same id
			}
		}
		s.Close()
		c.restarts.Add(1)
	}
}

func (c *copier) step(ctx context.Context, s *kgo.GroupTransactSession) error {
	poll, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	fetches := s.PollRecords(poll, 40)
	if fetches.NumRecords() == 0 {
		return ctx.Err()
	}
	if err := s.Begin(); err != nil {
		return err
	}
	c.attempt++
	var wrote []string
	var failed atomic.Bool
	fetches.EachRecord(func(r *kgo.Record) {
		id := string(r.Value) + "/" + strconv.Itoa(c.attempt)
		wrote = append(wrote, id)
		for _, topic := range []string{"out", "state"} {
			s.Produce(ctx, &kgo.Record{Topic: topic, Partition: r.Partition, Value: []byte(id)},
				func(_ *kgo.Record, err error) {
					if err != nil {
						failed.Store(true)
					}
				})
		}
	})
	if err := s.Client().Flush(ctx); err != nil {
		return err
	}
	committed, err := s.End(ctx, kgo.TransactionEndTry(!failed.Load()))
	if err != nil {
		return err
	}
	if committed {
		c.commits.Add(1)
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, id := range wrote {
			c.acked[id] = true
		}
	}
	return nil
}

// feed writes numbered records with an idempotent producer over every death of the broker.
func feed(ctx context.Context, t *testing.T, addr string, acked *atomic.Int64) {
	cl, err := kgo.NewClient(clientOpts(addr, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerLinger(0), kgo.DefaultProduceTopic("in"))...)
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.Close()
	for n := int64(0); ctx.Err() == nil; n++ {
		r := &kgo.Record{Partition: int32(n % 4), Value: []byte(strconv.FormatInt(n, 10))}
		if err := cl.ProduceSync(context.WithoutCancel(ctx), r).FirstErr(); err != nil {
			t.Errorf("record %d of the input: %v", n, err)
			return
		}
		acked.Store(n + 1)
		time.Sleep(200 * time.Microsecond)
	}
}

func readAll(t *testing.T, addr, topic string) (values []string) {
	t.Helper()
	cl, err := kgo.NewClient(clientOpts(addr, kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.KeepControlRecords(),
		kgo.FetchMaxWait(10*time.Millisecond))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ends, err := kadm.NewClient(cl).ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for len(left) > 0 {
		f := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%s: the reader is stuck before the ends %v: a transaction is still open",
				topic, left)
		}
		f.EachRecord(func(r *kgo.Record) {
			if !r.Attrs.IsControl() {
				values = append(values, string(r.Value))
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return values
}

// TestKills kills the broker a hundred times in the middle of transactions, every second time while
// one is ending, and then reads what is committed: every record of the input once in each output,
// and everything in it that was acknowledged.
func TestKills(t *testing.T) {
	const kills = 100
	dir := t.TempDir()
	b := startBroker(t, dir)
	addr := b.Addr()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	feedCtx, stopFeed := context.WithCancel(ctx)
	c := &copier{addr: addr, acked: map[string]bool{}}
	var fed atomic.Int64
	var feeding, copying sync.WaitGroup
	feeding.Go(func() { feed(feedCtx, t, addr, &fed) })
	copying.Go(func() { c.run(ctx) })
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	inEnd := 0
	for i := range kills {
		if i%2 == 0 {
			time.Sleep(time.Duration(20+rnd.IntN(60)) * time.Millisecond)
			kill(t, b)
			if dying, err := tryStart(t, dir, suicideEnv+"=1"); err == nil {
				b = dying
			} // else it has ended already: a client that outlived the last one was quick
			continue
		}
		select {
		case <-b.Gone(): // it killed itself while a transaction ended
		case <-time.After(5 * time.Second):
			t.Fatal("no transaction ended in 5 s: the copier is stuck")
		}
		inEnd++
		if b = startBroker(t, dir); b.Addr() != addr {
			t.Fatalf("the broker came back on %s, was on %s", b.Addr(), addr)
		}
	}
	stopFeed()
	feeding.Wait()
	awaitCopied(t, addr, fed.Load())
	stop()
	copying.Wait()
	check(t, addr, c, int(fed.Load()))
	t.Logf("%d kills, %d while a transaction ended; %d records, %d commits acknowledged, %d clients of the copier",
		kills, inEnd, fed.Load(), c.commits.Load(), c.restarts.Load())
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// awaitCopied waits until the copier's group has committed the ends of the input.
func awaitCopied(t *testing.T, addr string, want int64) {
	t.Helper()
	cl, err := kgo.NewClient(clientOpts(addr)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	var sum int64
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		offsets, err := adm.FetchOffsets(t.Context(), "copy")
		if err != nil {
			continue
		}
		sum = 0
		offsets.Each(func(o kadm.OffsetResponse) { sum += o.At })
		if sum == want {
			return
		}
	}
	ends, _ := adm.ListEndOffsets(t.Context(), "in")
	ends.Each(func(o kadm.ListedOffset) { t.Logf("end %d: %d", o.Partition, o.Offset) })
	offsets, _ := adm.FetchOffsets(t.Context(), "copy")
	offsets.Each(func(o kadm.OffsetResponse) { t.Logf("%s %d: %d", o.Topic, o.Partition, o.At) })
	t.Fatalf("the group's offsets add up to %d, the input to %d", sum, want)
}

func check(t *testing.T, addr string, c *copier, want int) {
	t.Helper()
	if in := readAll(t, addr, "in"); len(in) != want {
		t.Errorf("input: %d records, %d were acknowledged: an idempotent producer's retry was lost or doubled", len(in), want)
	}
	for _, topic := range []string{"out", "state"} {
		times := map[string]int{}
		whole := map[string]bool{}
		for _, v := range readAll(t, addr, topic) {
			id, _, _ := strings.Cut(v, "/")
			times[id]++
			whole[v] = true
		}
		lost, doubled, unacked := 0, 0, 0
		for n := range want {
			switch k := times[strconv.Itoa(n)]; {
			case k == 0:
				lost++
			case k > 1:
				doubled++
			}
		}
		for id := range c.acked {
			if !whole[id] {
				unacked++
			}
		}
		if lost+doubled+unacked > 0 || len(times) != want {
			t.Errorf("%s: %d lost, %d doubled, %d acknowledged writes not there, %d different of %d", topic, lost, doubled, unacked, len(times), want)
		}
	}
}
