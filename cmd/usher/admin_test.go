package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"usher/cmd/usher/internal/config"
)

// TestAdminToken: the token opens everything as a bearer's; as a password, which browsers send by
// themselves, it opens what only looks.
func TestAdminToken(t *testing.T) {
	c := config.Default()
	c.Admin.Token = config.NewSecret("the token")
	page, err := pageRoute(pageSettings{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	posts := adminRoute{"POST /v1/classify", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})}
	h := adminHandler(c.Admin, prometheus.NewRegistry(), &readiness{}, page, posts)
	for _, x := range []struct {
		method, path, bearer, password string
		want                           int
	}{
		{"GET", "/", "", "", 401}, {"GET", "/api/boards", "", "", 401}, {"GET", "/metrics", "", "", 401},
		{"GET", "/assets/main.js", "", "", 401},
		{"GET", "/", "the token", "", 200}, {"GET", "/", "", "the token", 200},
		{"GET", "/api/boards", "", "the token", 200}, {"GET", "/", "another", "", 401},
		{"GET", "/", "", "another", 401}, {"POST", "/v1/classify", "the token", "", 200},
		{"POST", "/v1/classify", "", "the token", 401},
	} {
		r := httptest.NewRequest(x.method, x.path, nil) // its host is example.com: a token was asked for
		if x.bearer != "" {
			r.Header.Set("Authorization", "Bearer "+x.bearer)
		}
		if x.password != "" {
			r.SetBasicAuth("anyone", x.password)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != x.want {
			t.Errorf("%+v: status %d", x, w.Code)
		}
		if x.want == 401 && !strings.HasPrefix(w.Header().Get("WWW-Authenticate"), "Basic") {
			t.Errorf("%+v: a browser would not ask for the token", x)
		}
	}
}

// TestAdminWithoutToken: the page knows loopback names only.
func TestAdminWithoutToken(t *testing.T) {
	c := config.Default()
	page, err := pageRoute(pageSettings{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	h := adminHandler(c.Admin, prometheus.NewRegistry(), &readiness{}, page)
	for host, want := range map[string]int{"127.0.0.1:9464": 200, "example.com": 403} {
		r := httptest.NewRequest(http.MethodGet, "/api/boards", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		var body map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil || w.Code != want {
			t.Errorf("%s: status %d, %v", host, w.Code, err)
		}
	}
}
