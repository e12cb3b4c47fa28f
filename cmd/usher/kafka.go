package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"usher/cmd/usher/internal/config"
)

// kafkaDialTimeout bounds one connection attempt.
const kafkaDialTimeout = 10 * time.Second

// kafkaOptions turns the configuration's kafka section into client options. The secrets must have
// been loaded.
func kafkaOptions(k config.Kafka) ([]kgo.Opt, error) {
	o := []kgo.Opt{
		kgo.SeedBrokers(k.Brokers...),
		kgo.ClientID("usher"),
		kgo.SoftwareNameAndVersion("usher", softwareVersion()),
		kgo.MetadataMinAge(250 * time.Millisecond), // faults of a broker are got past in time
	}
	if k.TLS.On() {
		t, err := tlsConfig(k.TLS, "kafka.tls")
		if err != nil {
			return nil, err
		}
		o = append(o, kgo.Dialer((&tls.Dialer{
			NetDialer: &net.Dialer{Timeout: kafkaDialTimeout}, Config: t,
		}).DialContext))
	}
	user, password := k.SASL.User, k.SASL.Password.Reveal()
	switch strings.ToLower(k.SASL.Mechanism) {
	case "plain":
		o = append(o, kgo.SASL(plain.Auth{User: user, Pass: password}.AsMechanism()))
	case "scram-sha-256":
		o = append(o, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha256Mechanism()))
	case "scram-sha-512":
		o = append(o, kgo.SASL(scram.Auth{User: user, Pass: password}.AsSha512Mechanism()))
	}
	return o, nil
}

// softwareVersion is the version as Kafka takes it: letters, digits, dots and hyphens.
func softwareVersion() string {
	v, _, _ := strings.Cut(buildVersion().Version, "+")
	return v
}

// kafkaClient makes a client for the configured brokers, with further options.
func (a *app) kafkaClient(more ...kgo.Opt) (*kgo.Client, error) {
	if err := a.cfg.LoadSecrets(); err != nil {
		return nil, err
	}
	o, err := kafkaOptions(a.cfg.Kafka)
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(o, more...)...)
	if err != nil {
		return nil, usagef("cannot use the kafka settings: %w", err)
	}
	return cl, nil
}

// openKafka returns the options of a client for the embedded broker of a data directory, or for the
// configured brokers when dir is empty; closeKafka ends a broker that was started for it.
func (a *app) openKafka(ctx context.Context, dir string) (opts []kgo.Opt, closeKafka func(), err error) {
	if dir == "" {
		if err := a.cfg.LoadSecrets(); err != nil {
			return nil, nil, err
		}
		opts, err = kafkaOptions(a.cfg.Kafka)
		return opts, func() {}, err
	}
	b, err := startBroker(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	return []kgo.Opt{kgo.SeedBrokers(b.Addr())}, func() {
		if err := b.Close(); err != nil {
			a.log.Warn("the embedded broker did not end cleanly", "error", err)
		}
	}, nil
}

// tlsConfig reads the files that a tls section names; path is the section's.
func tlsConfig(t config.TLS, path string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, usagef("cannot read %s.ca_file: %w", path, err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, usagef("cannot use %s.ca_file: it holds no PEM certificate", path)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, usagef("cannot use %s.cert_file and key_file: %w", path, err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// brokersText names the brokers for messages.
func (a *app) brokersText() string {
	return fmt.Sprintf("Kafka at %s", strings.Join(a.cfg.Kafka.Brokers, ", "))
}

// reachTimeout bounds the first look at a broker or a store.
const reachTimeout = 10 * time.Second
