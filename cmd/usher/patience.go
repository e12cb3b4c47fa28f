package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/cenkalti/backoff/v5"
	"github.com/twmb/franz-go/pkg/kerr"
)

// How long to leave a system alone that is away, and how often to say that it still is.
const (
	awayFirst = 250 * time.Millisecond
	awayMax   = 5 * time.Second
	awaySaid  = time.Minute
)

// patience is how long to repeat what another system makes fail.
type patience struct {
	log   *slog.Logger
	max   time.Duration // from the first try; 0: as long as it takes
	tries uint          // 0: as many as it takes
}

// await repeats do until it succeeds, patience ends, or waiting cannot mend its error. It says so at
// the first failure and then every minute: what is the system that it waits for.
func await[T any](ctx context.Context, p patience, what string, do func() (T, error)) (T, error) {
	wait := backoff.NewExponentialBackOff()
	wait.InitialInterval, wait.MaxInterval = awayFirst, awayMax
	var began, said time.Time
	out, err := backoff.Retry(ctx, func() (T, error) {
		out, err := do()
		if unmendable(err) {
			err = backoff.Permanent(err)
		}
		return out, err
	}, backoff.WithBackOff(wait), backoff.WithMaxElapsedTime(p.max), backoff.WithMaxTries(p.tries),
		backoff.WithNotify(func(err error, _ time.Duration) {
			now := time.Now()
			if began.IsZero() {
				began = now
			}
			if now.Sub(said) >= awaySaid {
				said = now
				p.log.Warn("waiting for "+what, "error", err)
			}
		}))
	if err == nil && !began.IsZero() {
		p.log.Info("found "+what, "waited", time.Since(began).Round(time.Millisecond))
	}
	return out, err
}

// refused reports that ClickHouse's answer says that something is configured wrongly. Other answers
// pass: a server that starts, is overloaded, has no memory or no room answers with an error, too.
func refused(answer *clickhouse.Exception) bool {
	switch answer.Code {
	case 60, // UNKNOWN_TABLE
		81,  // UNKNOWN_DATABASE
		192, // UNKNOWN_USER
		193, // WRONG_PASSWORD
		194, // REQUIRED_PASSWORD
		497, // ACCESS_DENIED
		516: // AUTHENTICATION_FAILED
		return true
	}
	return false
}

// unmendable reports an error that waiting cannot mend: a user's mistake, a finding, a right that is
// missing, a certificate that is not trusted.
func unmendable(err error) bool {
	var usage *usageError
	var finding *notHeldError
	var kafka *kerr.Error
	var store *clickhouse.Exception
	var certificate *tls.CertificateVerificationError
	var plain tls.RecordHeaderError // the other side speaks no TLS
	switch {
	case errors.As(err, &usage), errors.As(err, &finding), errors.As(err, &certificate), errors.As(err, &plain):
		return true
	case errors.As(err, &kafka):
		return !kafka.Retriable
	case errors.As(err, &store):
		return refused(store)
	}
	return false
}
