package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"usher/cmd/usher/internal/config"
)

// goAdmin serves the preview page, metrics and health. Beyond loopback the address must not be
// reachable without a token, so it is refused until one is configured.
func (p *process) goAdmin(ctx context.Context, g *errgroup.Group, reg *prometheus.Registry) error {
	a := p.Config.Admin
	if a.Addr == "" {
		return nil
	}
	if err := checkAdmin(a); err != nil {
		return err
	}
	s, err := storeOf(p.Config)
	if err != nil {
		return err
	}
	page, err := pageRoute(pageSettings{
		Config: p.Config, Store: func() *store { return s }, Kafka: p.opts, Log: p.Log,
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", a.Addr)
	if err != nil {
		return usagef("cannot listen on admin.addr: %w", err)
	}
	serveAdmin(ctx, g, ln, adminHandler(a, reg, p.ready, append(p.routes, page)...))
	return nil
}

// serveAdmin serves until ctx ends.
func serveAdmin(ctx context.Context, g *errgroup.Group, ln net.Listener, handler http.Handler) {
	srv := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	g.Go(func() error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if err := srv.Shutdown(stop); err != nil {
			return srv.Close() // a reader's query is no reason to stay
		}
		return nil
	})
	g.Go(func() error {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("cannot serve the admin address: %w", err)
		}
		return nil
	})
}

func checkAdmin(a config.Admin) error {
	host, _, err := net.SplitHostPort(a.Addr)
	if err != nil {
		return usagef("cannot use admin.addr: %w", err)
	}
	ip := net.ParseIP(host)
	if host != "localhost" && (ip == nil || !ip.IsLoopback()) && !a.Token.IsSet() {
		return usagef("admin.addr %s is not a loopback address: set admin.token_file, or listen on "+
			"127.0.0.1", a.Addr)
	}
	return nil
}

// adminRoute is a path of the admin address; the token is asked for here.
type adminRoute struct {
	path    string
	handler http.Handler
}

func adminHandler(a config.Admin, reg *prometheus.Registry, ready http.Handler,
	more ...adminRoute,
) http.Handler {
	mux := http.NewServeMux()
	for _, r := range more {
		mux.Handle(r.path, r.handler)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{"status": "ok"})
	})
	mux.Handle("GET /readyz", ready)
	if !a.Token.IsSet() {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !allowed(r, a.Token.Reveal()) {
			w.Header().Set("WWW-Authenticate", `Basic realm="usher: the token is the password"`)
			http.Error(w, "a token is required", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// allowed takes the token as a bearer's. A browser that only looks may send it as the password of any
// user: it would do so by itself for another site's request too, so that is no way to change anything.
func allowed(r *http.Request, token string) bool {
	if sameToken(r.Header.Get("Authorization"), "Bearer "+token) {
		return true
	}
	_, password, ok := r.BasicAuth()
	looks := r.Method == http.MethodGet || r.Method == http.MethodHead
	return ok && looks && sameToken(password, token)
}
