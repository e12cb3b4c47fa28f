package preview

import (
	"context"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// policy keeps the page to its own origin: no inline script, no outside request, no frame.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// explainMax bounds the search for the record of a decision.
const explainMax = 25 * time.Second

var decisionID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// ServeHTTP answers for the page, its files and its queries.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	if !p.cfg.AnyHost && !loopbackHost(r.Host) {
		answer(w, http.StatusForbidden, problem{"This page answers to localhost and 127.0.0.1 only; " +
			"for other names configure admin.token_file."})
		return
	}
	site := r.Header.Get("Sec-Fetch-Site") // browsers send it, and no script can change it
	own := site == "" || site == "same-origin" || site == "none"
	if !own && strings.HasPrefix(r.URL.Path, "/api/") {
		answer(w, http.StatusForbidden, problem{"Another site may not ask this page."})
		return
	}
	p.mux.ServeHTTP(w, r)
}

// loopbackHost reports whether a Host header names this machine itself.
func loopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if len(host) > 2 && host[0] == '[' {
		host = host[1 : len(host)-1]
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (p *Page) serveExplanation(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("decision")
	switch {
	case p.cfg.Explain == nil:
		answer(w, http.StatusNotFound, problem{"Decisions cannot be explained here."})
		return
	case !decisionID.MatchString(id):
		answer(w, http.StatusBadRequest, problem{"A decision's id has 32 hexadecimal digits."})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), explainMax)
	defer cancel()
	select {
	case p.explains <- struct{}{}:
		defer func() { <-p.explains }()
	case <-ctx.Done():
		p.fail(w, r, errBusy)
		return
	}
	e, err := p.cfg.Explain(ctx, id)
	if err != nil {
		answer(w, http.StatusUnprocessableEntity, problem{err.Error()})
		return
	}
	answer(w, http.StatusOK, e)
}
