package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

const (
	infoFile    = "broker.json" // in the data directory
	lockName    = "broker.lock"
	dataName    = "kafka"
	journalName = "kafka-transactions.log"
	cleanName   = "kafka-ended-cleanly"

	partitionsDefault = 4
	sessionMin        = time.Second // clients choose; usher's use 10 s
	topicsWait        = 30 * time.Second
	answerWait        = 20 * time.Millisecond // for answers on their way when the broker ends
	headerWait        = 10 * time.Second
	compactNever      = "315360000000" // milliseconds: ten years
)

// Topic is a topic to create at the start, if it is not there.
type Topic struct {
	Name       string
	Partitions int32
	Configs    map[string]string
}

// ServeConfig says what Serve serves.
type ServeConfig struct {
	DataDir string
	// Stdin ends the broker when it closes; nil means that only ctx does.
	Stdin  io.Reader
	Log    *slog.Logger // nil logs nothing
	Topics []Topic

	onEnd func() // for tests: an EndTxn is in the journal and about to be handled
}

// Serve is the main function of the broker's process: it mends the data directory if need be, then
// serves until the last user is gone or ctx ends.
func Serve(ctx context.Context, cfg ServeConfig) error {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ignoreBrokenOutput()
	life := newLifetime(cfg.Stdin)
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return fmt.Errorf("cannot resolve the data directory: %w", err)
	}
	waiting, stop := life.during(ctx)
	defer stop()
	lock, err := awaitLock(waiting, filepath.Join(dir, lockName), lockWait)
	if err != nil {
		return fmt.Errorf("cannot serve %s: %w", dir, err)
	}
	defer lock.Close()
	b, err := open(dir, cfg.Log, cfg.onEnd)
	if err != nil {
		return err
	}
	if err := b.serve(ctx, cfg, life); err != nil {
		return errors.Join(err, b.close())
	}
	return b.close()
}

// server is a running broker.
type server struct {
	dir     string
	log     *slog.Logger
	cluster *kfake.Cluster
	journal *journal
	gate    *gate
	onEnd   func()

	free     func(dir string) (uint64, error) // bytes left on a disk
	saidRoom time.Time
}

// open mends the directory if the last broker did not end cleanly and starts the broker, with its
// gate still closed.
func open(dir string, log *slog.Logger, onEnd func()) (*server, error) {
	data, journalPath, clean := filepath.Join(dir, dataName), filepath.Join(dir, journalName),
		filepath.Join(dir, cleanName)
	if err := os.MkdirAll(data, dirPerm); err != nil {
		return nil, fmt.Errorf("cannot create the broker's directory: %w", err)
	}
	if _, err := os.Stat(clean); errors.Is(err, fs.ErrNotExist) && exists(filepath.Join(data,
		metaFile)) {
		if _, err := mend(data, journalPath, time.Now(), log); err != nil {
			return nil,
				fmt.Errorf("cannot mend the broker's data in %s: %w; nothing was lost, look at the cause", data, err)
		}
	}
	if err := os.Remove(clean); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot begin on the broker's data: %w", err)
	}
	j, err := openJournal(journalPath, filepath.Join(data, pidsFile))
	if err != nil {
		return nil, err
	}
	b := &server{dir: dir, log: log, journal: j, onEnd: onEnd, free: freeBytes}
	if b.gate, err = listen(dir); err != nil {
		return nil, err
	}
	b.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(data),
		kfake.ClusterID("usher-embedded"),
		kfake.DefaultNumPartitions(partitionsDefault), kfake.GroupMinSessionTimeout(sessionMin),
		kfake.BrokerConfigs(map[string]string{"log.cleaner.backoff.ms": compactNever}),
		kfake.WithLogger(logger{log}),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return b.gate, nil }))
	if err != nil {
		return nil, fmt.Errorf("cannot start the embedded broker: %w", err)
	}
	for _, key := range writes() {
		b.cluster.ControlKey(int16(key), b.keepRoom)
	}
	for _, key := range []kmsg.Key{kmsg.TxnOffsetCommit, kmsg.EndTxn, kmsg.AddPartitionsToTxn,
		kmsg.AddOffsetsToTxn} {
		b.cluster.ControlKey(int16(key), b.observe)
	}
	return b, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// observe runs before the broker handles a request, in its one loop, so that nothing is handled
// between the journal's entry and the request.
func (b *server) observe(req kmsg.Request) (kmsg.Response, error,
	bool) { //nolint:revive // kfake's signature
	b.cluster.KeepControl() // also after a refusal, or the next request would pass unseen
	if err := b.journal.observe(req); err != nil {
		b.log.Error("transaction refused", "error", err)
		return nil, err, true // the connection ends, the client tries again
	}
	if end, ok := req.(*kmsg.EndTxnRequest); ok && end.Commit && b.onEnd != nil {
		b.onEnd()
	}
	return nil, nil, false
}

func (b *server) serve(ctx context.Context, cfg ServeConfig, life *lifetime) error {
	b.gate.open()
	addr := b.gate.Addr().String()
	if err := ensureTopics(ctx, addr, cfg.Topics); err != nil {
		return err
	}
	control, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("cannot listen for leases: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(leasePath, life)
	web := &http.Server{Handler: mux, ReadHeaderTimeout: headerWait}
	go func() { _ = web.Serve(control) }()
	defer web.Close()
	info := filepath.Join(b.dir, infoFile)
	if err := writeInfo(info, childInfo{Addr: addr, Control: control.Addr().String(),
		PID: os.Getpid()}); err != nil {
		return err
	}
	b.log.Info("embedded broker ready (one machine, no replication)", "addr", addr)
	select {
	case <-ctx.Done():
	case <-life.ended:
	}
	life.end()
	return nil
}

// close ends the broker: the request under way is finished, what it knows is written, and the mark
// of a clean end comes last.
func (b *server) close() error {
	_ = b.gate.Close()
	b.gate.open()               // let go of the broker's accept loop if it never opened
	_ = b.cluster.ListenAddrs() // answered between two requests
	time.Sleep(answerWait)
	b.cluster.Close()
	if err := b.journal.close(); err != nil {
		return fmt.Errorf("cannot close the journal of transactions: %w", err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, cleanName), nil, filePerm); err != nil {
		return fmt.Errorf("cannot note the clean end: %w", err)
	}
	b.log.Info("embedded broker ended")
	return nil
}

// gate is a listener that lets nobody in before it is opened.
type gate struct {
	net.Listener
	once   sync.Once
	opened chan struct{}
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

// Accept waits for the gate to open, then for a client.
func (g *gate) Accept() (net.Conn, error) {
	<-g.opened
	return g.Listener.Accept()
}

// listen takes the port that the last broker of the directory had, if it is free: clients that
// outlived it still look there.
func listen(dir string) (*gate, error) {
	if last, err := readInfo(filepath.Join(dir, infoFile)); err == nil {
		if host, _, err := net.SplitHostPort(last.Addr); err == nil &&
			net.ParseIP(host).IsLoopback() {
			if ln, err := net.Listen("tcp", last.Addr); err == nil {
				return &gate{Listener: ln, opened: make(chan struct{})}, nil
			}
		}
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("cannot listen for the embedded broker: %w", err)
	}
	return &gate{Listener: ln, opened: make(chan struct{})}, nil
}

func ensureTopics(ctx context.Context, addr string, topics []Topic) error {
	if len(topics) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, topicsWait)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		return fmt.Errorf("cannot create the topics: %w", err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, t := range topics {
		configs := map[string]*string{}
		for k, v := range t.Configs {
			configs[k] = &v
		}
		_, err := adm.CreateTopic(ctx, t.Partitions, 1, configs, t.Name)
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			return fmt.Errorf("cannot create topic %s: %w", t.Name, err)
		}
	}
	return nil
}

// logger passes kfake's messages on; it says INFO for every request.
type logger struct{ log *slog.Logger }

// Logf implements kfake.Logger.
func (l logger) Logf(level kfake.LogLevel, format string, args ...any) {
	to := slog.LevelDebug
	switch level {
	case kfake.LogLevelError:
		to = slog.LevelError
	case kfake.LogLevelWarn:
		to = slog.LevelWarn
	}
	if l.log.Enabled(context.Background(), to) {
		l.log.Log(context.Background(), to, "broker: "+fmt.Sprintf(format, args...))
	}
}
