package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"usher/cmd/usher/internal/config"
	"usher/sinks/clickhouse/sink"
)

// clickhouseAt is where a ClickHouse answers HTTP.
type clickhouseAt struct {
	addr, database, user string
	password             config.Secret
	tls                  *tls.Config
}

// configuredClickHouse is the address of the configuration; its secrets must have been loaded.
func configuredClickHouse(c *config.Config) (clickhouseAt, error) {
	at := clickhouseAt{
		addr: c.ClickHouse.Addr, database: c.ClickHouse.Database, user: c.ClickHouse.User,
		password: c.ClickHouse.Password,
	}
	if !c.ClickHouse.TLS.On() {
		return at, nil
	}
	var err error
	at.tls, err = tlsConfig(c.ClickHouse.TLS, "clickhouse.tls")
	return at, err
}

// openClickHouse makes a connection over HTTP: the one protocol that a server and the embedded
// engine both speak.
func openClickHouse(at clickhouseAt) (driver.Conn, error) {
	conn, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{at.addr}, TLS: at.tls,
		Auth: clickhouse.Auth{
			Database: at.database, Username: at.user, Password: at.password.Reveal(),
		},
		DialTimeout: 5 * time.Second, ReadTimeout: 5 * time.Minute, MaxOpenConns: 8,
	})
	if err != nil {
		return nil, usagef("cannot use the clickhouse settings: %w", err)
	}
	return conn, nil
}

// sinkSettings are what a sink needs beside the configuration.
type sinkSettings struct {
	Kafka    []kgo.Opt // with seed brokers
	Instance string
	Conn     driver.Conn
	Log      *slog.Logger
	Reg      prometheus.Registerer
}

func newSink(c *config.Config, s sinkSettings) (*sink.Sink, error) {
	k, err := sink.New(sink.Config{
		Topic: c.Topic(config.RowsTopic), Group: c.Topics.Prefix + "usher.sink",
		InstanceID:    c.Topics.Prefix + "usher.sink." + s.Instance,
		FlushInterval: time.Duration(c.FlushInterval),
	}, sink.Deps{Kafka: s.Kafka, Store: sink.NewClickHouse(s.Conn), Log: s.Log, Reg: s.Reg})
	if err != nil {
		return nil, fmt.Errorf("cannot make the sink: %w", err)
	}
	return k, nil
}

// pingClickHouse says clearly when the store does not answer.
func pingClickHouse(ctx context.Context, conn driver.Conn, at clickhouseAt) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := conn.Ping(ctx); err != nil {
		return fmt.Errorf("cannot reach ClickHouse at %s: %w; check clickhouse.addr, user and password "+
			"(usher check)", at.addr, err)
	}
	return nil
}
