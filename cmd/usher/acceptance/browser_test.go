package acceptance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserMax bounds one step in the browser, on a machine with other things to do.
const browserMax = 60 * time.Second

// browser is a tab of a real Chromium.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string // of the console: also what the page's policy forbade
}

// missing skips the test, or fails it where USHER_REQUIRE_BROWSER=1.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("USHER_REQUIRE_BROWSER") == "1" {
		t.Fatalf("USHER_REQUIRE_BROWSER=1, but there is no %s: dashboards/preview/browser/fetch.sh", what)
	}
	t.Skipf("no %s: dashboards/preview/browser/fetch.sh brings it", what)
}

func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("USHER_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, "Chromium")
	return ""
}

// axe is the source of the accessibility checker.
func axe(t *testing.T) string {
	t.Helper()
	cache := os.Getenv("USHER_CACHE")
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		cache = filepath.Join(base, "usher")
	}
	found, _ := filepath.Glob(filepath.Join(cache, "axe-core", "*", "axe.min.js"))
	if len(found) == 0 {
		missing(t, "axe-core")
	}
	source, err := os.ReadFile(found[len(found)-1])
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

func openBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox, chromedp.WSURLReadTimeout(browserMax), chromedp.WindowSize(1440, 900))
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithBrowserOption(chromedp.WithDialTimeout(browserMax)))
	t.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // waits until the browser has ended
		cancel()
	})
	b := &browser{t: t, ctx: ctx}
	chromedp.ListenTarget(ctx, b.heard)
	b.do("start", log.Enable())
	return b
}

// heard notes errors of the console.
func (b *browser) heard(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			b.errors = append(b.errors, fmt.Sprint("console: ", e.Args))
		}
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, "exception: "+e.ExceptionDetails.Error())
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Level == log.LevelWarning {
			b.errors = append(b.errors, "log: "+e.Entry.Text+" "+e.Entry.URL)
		}
	}
}

// quiet fails the test when the console said anything.
func (b *browser) quiet() {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.errors) > 0 {
		b.t.Errorf("the console said:\n%s", strings.Join(b.errors, "\n"))
	}
}

func (b *browser) do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	// The first run must be on the tab's own context: it starts the browser.
	if err := chromedp.Run(b.ctx); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, browserMax)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		b.t.Fatalf("%s: %v; the console said %q", what, err, b.errors)
	}
}

// eval returns what a script gives, as text.
func (b *browser) eval(script string) string {
	b.t.Helper()
	var out any
	b.do("evaluating "+script, chromedp.Evaluate(script, &out,
		func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	return fmt.Sprint(out)
}

// until waits for a condition of the page.
func (b *browser) until(condition string) {
	b.t.Helper()
	var ok bool
	b.do("waiting for "+condition, chromedp.Poll(condition, &ok, chromedp.WithPollingTimeout(browserMax)))
}

// open shows a page and waits until every panel is there.
func (b *browser) open(address string, width, height int64, scheme string) {
	b.t.Helper()
	media := emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}})
	b.do("opening the page", media, chromedp.EmulateViewport(width, height), chromedp.Navigate(address))
	b.settled()
}

func (b *browser) settled() {
	b.t.Helper()
	b.until(`document.body.dataset.loaded && !document.querySelector('.panel[aria-busy="true"]')`)
}

// picture keeps what is on the screen in the folder that USHER_PICTURES names.
func (b *browser) picture(name string) {
	dir := os.Getenv("USHER_PICTURES")
	if dir == "" {
		return
	}
	var image []byte
	b.do("taking a picture", chromedp.CaptureScreenshot(&image))
	if err := os.WriteFile(filepath.Join(dir, name+".png"), image, 0o644); err != nil {
		b.t.Error(err)
	}
}
