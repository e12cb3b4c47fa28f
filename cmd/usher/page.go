package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"usher/cmd/usher/internal/config"
	"usher/dashboards/preview"
)

// adminFile holds, inside a data directory, the admin address of the demo that runs there.
const adminFile = "admin-address"

// pageSettings are what the preview page reads from.
type pageSettings struct {
	Config *config.Config
	Store  func() *store // asked each time: an embedded engine may come back elsewhere
	Kafka  []kgo.Opt     // with seed brokers, for the messages of decisions
	Log    *slog.Logger
}

// pageRoute is the preview page at / of the admin address.
func pageRoute(s pageSettings) (adminRoute, error) {
	page, err := preview.New(preview.Config{
		Store: func(ctx context.Context, sql string, settings map[string]string) (io.ReadCloser, error) {
			return s.Store().queryUnder(ctx, sql, "JSONCompact", settings)
		},
		Explain: func(ctx context.Context, id string) (any, error) { return s.explain(ctx, id) },
		Log:     s.Log, AnyHost: s.Config.Admin.Token.IsSet(),
	})
	if err != nil {
		return adminRoute{}, fmt.Errorf("cannot make the preview page: %w", err)
	}
	return adminRoute{"/", page}, nil
}

// explain takes a decision apart as `usher explain` does.
func (s pageSettings) explain(ctx context.Context, id string) (*explanation, error) {
	d, err := findDecision(ctx, s.Store(), id)
	if err != nil {
		return nil, err
	}
	m, err := explainedModel(s.Config, "")
	if err != nil {
		return nil, err
	}
	defer m.Close()
	text, err := d.message(ctx, s.Config, s.Kafka)
	if err != nil {
		return nil, err
	}
	mask, err := masks()
	if err != nil {
		return nil, err
	}
	e, err := explainText(m, mask(text), "")
	if err != nil {
		return nil, err
	}
	e.Note = d.note(m)
	return e, nil
}

// goPage serves the page, metrics and health of a demo, on some other port when another usher has the
// configured one, and notes the address in the data directory.
func (s *station) goPage(ctx context.Context, g *errgroup.Group, reg *prometheus.Registry) error {
	if s.cfg.Admin.Addr == "" {
		return nil
	}
	if err := checkAdmin(s.cfg.Admin); err != nil {
		return err
	}
	page, err := pageRoute(pageSettings{
		Config: s.cfg, Store: s.store, Kafka: []kgo.Opt{kgo.SeedBrokers(s.broker.Addr())}, Log: s.log,
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", s.cfg.Admin.Addr)
	if err != nil {
		host, _, _ := net.SplitHostPort(s.cfg.Admin.Addr)
		if ln, err = net.Listen("tcp", net.JoinHostPort(host, "0")); err != nil {
			return usagef("cannot listen on admin.addr: %w", err)
		}
	}
	s.page = "http://" + ln.Addr().String() + "/"
	note := filepath.Join(s.dir, adminFile)
	if err := os.WriteFile(note, []byte(s.page+"\n"), 0o644); err != nil {
		_ = ln.Close()
		return fmt.Errorf("cannot note the admin address: %w", err)
	}
	serveAdmin(ctx, g, ln, adminHandler(s.cfg.Admin, reg, &readiness{}, page))
	g.Go(func() error {
		<-ctx.Done()
		if err := os.Remove(note); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("cannot remove the note of the admin address: %w", err)
		}
		return nil
	})
	return nil
}

// queryUnder is query under settings of ClickHouse.
func (s *store) queryUnder(ctx context.Context, sql, format string, settings map[string]string) (
	io.ReadCloser, error,
) {
	with := *s
	with.settings = maps.Clone(settings)
	return with.query(ctx, sql, format, nil)
}
