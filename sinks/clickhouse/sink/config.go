// Package sink drains usher.rows.v1 into ClickHouse, every row exactly once. It drives the protocol
// of package deliver: one goroutine per assigned partition, one consumer group, one ClickHouse.
package sink

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/sinks/clickhouse/deliver"
)

// Defaults of Config.
const (
	DefaultTopic         = "usher.rows.v1"
	DefaultGroup         = "usher.sink"
	DefaultRangeRows     = 100_000
	DefaultRangeBytes    = 32 << 20
	DefaultFlushInterval = time.Second
	DefaultStopTimeout   = 20 * time.Second
	DefaultBufferBytes   = 64 << 20
	// SessionTimeout is after how long without a heartbeat the group gives a sink's partitions away.
	SessionTimeout = 10 * time.Second
	// ClockSkewMax is how far ClickHouse's clock may be from the sink's before it refuses to work.
	ClockSkewMax = 5 * time.Second
)

// Config says what to drain and how. Zero values mean the defaults.
type Config struct {
	Topic string
	Group string
	// InstanceID is the stable group.instance.id, so that a restart takes its partitions back at
	// once. Empty joins as a new member every time.
	InstanceID string
	// RangeRows, RangeBytes and FlushInterval close a range, whichever is first. The interval is for
	// up to two partitions of the topic; with four it is twice as long, and so on.
	RangeRows     int
	RangeBytes    int
	FlushInterval time.Duration
	// BufferBytes bounds what one partition holds in memory; fetching pauses above it.
	BufferBytes int
	// StopTimeout bounds how long a graceful stop tries to store what was consumed. What is left
	// then waits in Kafka.
	StopTimeout time.Duration
}

func (c Config) withDefaults() (Config, error) {
	set(&c.Topic, DefaultTopic)
	set(&c.Group, DefaultGroup)
	set(&c.RangeRows, DefaultRangeRows)
	set(&c.RangeBytes, DefaultRangeBytes)
	set(&c.FlushInterval, DefaultFlushInterval)
	set(&c.BufferBytes, DefaultBufferBytes)
	set(&c.StopTimeout, DefaultStopTimeout)
	if c.RangeRows < 0 || c.RangeBytes < 0 || c.FlushInterval < 0 || c.BufferBytes < c.RangeBytes {
		return c, fmt.Errorf("cannot configure the sink: limits must be positive, and the buffer "+
			"(%d bytes) at least a range (%d bytes)", c.BufferBytes, c.RangeBytes)
	}
	return c, nil
}

func set[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c *Config) limits() deliver.Limits {
	return deliver.Limits{Rows: c.RangeRows, Bytes: c.RangeBytes}
}

// Deps are what the sink works with.
type Deps struct {
	// Kafka are the connection options: seed brokers, TLS, SASL, dialer.
	Kafka []kgo.Opt
	Store Store
	Log   *slog.Logger          // nil discards
	Reg   prometheus.Registerer // nil registers nothing
	// Now is the local clock; nil is time.Now.
	Now func() time.Time
}

func (d Deps) withDefaults() (Deps, error) {
	if d.Store == nil {
		return d, errors.New("cannot configure the sink: no store")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Now == nil {
		d.Now = time.Now
	}
	return d, nil
}
