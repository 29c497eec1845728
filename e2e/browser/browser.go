// Package browser drives one real Chromium for the end-to-end tests: pages are found, read and clicked by role and
// accessible name, as a person with a screen reader would, and never by selectors or hooks in the product.
package browser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Patience is how long a step waits for what must come. Reaching it fails the test; it measures nothing.
const Patience = 45 * time.Second

const pollEvery = 40 * time.Millisecond

// Find returns the Chromium that tests use: LOOKALONG_BROWSER, or one in the PATH.
func Find() (string, error) {
	if path := os.Getenv("LOOKALONG_BROWSER"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("no Chromium found: install Debian's package chromium, or name one in LOOKALONG_BROWSER")
}

// Browser is a running Chromium.
type Browser struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// Options say how a Chromium is started.
type Options struct {
	Headful bool     // on the DISPLAY of Env
	Env     []string // additional, such as DISPLAY=:99
	Width   int
	Height  int
	Flags   map[string]any // additional
}

// Start starts a Chromium. getDisplayMedia's picker answers by itself with the tab that is titled PatternTitle.
func Start(o Options) (*Browser, error) {
	path, err := Find()
	if err != nil {
		return nil, err
	}
	if o.Width == 0 {
		o.Width, o.Height = 1280, 800
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(o.Width, o.Height),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("screen-info", "{1920x1200}"), chromedp.Flag("disable-sync", true), chromedp.Flag("host-resolver-rules", "MAP help.test 127.0.0.1"), chromedp.Flag("disable-quic", true), chromedp.Flag("lang", "en-US"),
		chromedp.Flag("disable-features", "Translate,MediaRouter,OptimizationHints"),
		chromedp.Flag("auto-select-tab-capture-source-by-title", PatternTitle),
	)
	if o.Headful {
		opts = append(opts, chromedp.Flag("headless", false))
	}
	if len(o.Env) > 0 {
		opts = append(opts, chromedp.Env(o.Env...))
	}
	for k, v := range o.Flags {
		opts = append(opts, chromedp.Flag(k, v))
	}
	alloc, cancelAlloc := chromedp.NewExecAllocator(context.Background(), opts...)
	ctx, cancel := chromedp.NewContext(alloc)
	b := &Browser{ctx: ctx, cancel: func() { cancel(); cancelAlloc() }}
	if err := chromedp.Do(ctx); err != nil {
		b.cancel()
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return b, nil
}

// PID is the browser's main process; the others are its children.
func (b *Browser) PID() int { return chromedp.FromContext(b.ctx).Browser.Process().Pid }

// Close ends the browser.
func (b *Browser) Close() { b.cancel() }

// Page is one tab. Its methods fail the test when they can't do what they say.
type Page struct {
	t      testing.TB
	ctx    context.Context
	cancel context.CancelFunc
	name   string
}

// Profile is a person: pages of one profile share storage, those of two do not.
type Profile struct {
	b   *Browser
	ctx context.Context
}

// Profile makes a new person, with empty storage, until the test ends.
func (b *Browser) Profile(t testing.TB) *Profile {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &Profile{b: b, ctx: ctx}
}

// Open opens a tab with a page.
func (p *Profile) Open(t testing.TB, name, url string) *Page {
	t.Helper()
	return p.open(t, name, url)
}

// OpenWindow opens a page in a window of its own whose content has exactly this size: what a capture of it gives.
func (p *Profile) OpenWindow(t testing.TB, name, url string, width, height int) *Page {
	t.Helper()
	page := p.open(t, name, url, chromedp.WithNewWindow(true))
	page.Size(width, height)
	return page
}

// Size gives the content of the page's own window exactly this size, whatever bars the browser shows above it.
func (p *Page) Size(width, height int) {
	p.t.Helper()
	p.do("size the window", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		w, err := cdp.Call(ctx, t, cdpbrowser.GetWindowForTarget, cdpbrowser.GetWindowForTargetParams{})
		if err != nil {
			return err
		}
		// Bars of the browser's own may take some of it: what is missing is added.
		for extra, tries := 0, 0; tries < 20; tries++ {
			if _, err = cdp.Call(ctx, t, cdpbrowser.SetContentsSize, cdpbrowser.SetContentsSizeParams{WindowID: w.WindowID, Width: int64(width), Height: int64(height + extra)}); err != nil {
				return err
			}
			time.Sleep(pollEvery)
			h, err := chromedp.Evaluate[int]("innerHeight")(ctx, t)
			if err != nil {
				return err
			}
			if h == height {
				return nil
			}
			extra += height - h
		}
		return errors.New("the window does not take its size")
	}))
}

func (p *Profile) open(t testing.TB, name, url string, opts ...chromedp.ContextOption) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(p.ctx, opts...)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil { // the tab lives as long as the context of its first action
		t.Fatal(err)
	}
	page := &Page{t: t, ctx: ctx, cancel: cancel, name: name}
	page.do("open "+url, chromedp.Navigate(url))
	return page
}

// Go opens another address in the same tab.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.do("go to "+url, chromedp.Navigate(url))
}

// Reload reloads the page.
func (p *Page) Reload() {
	p.t.Helper()
	p.do("reload", chromedp.Reload())
}

// Close closes the tab, as a person does.
func (p *Page) Close() { p.cancel() }

func (p *Page) do(what string, a chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, a); err != nil {
		p.t.Fatalf("%s: %s: %v", p.name, what, err)
	}
}

// Eval evaluates JavaScript in the page; a promise is awaited.
func Eval[T any](p *Page, js string) T {
	p.t.Helper()
	v, err := TryEval[T](p, js)
	if err != nil {
		p.t.Fatalf("%s: evaluate %q: %v", p.name, js, err)
	}
	return v
}

// TryEval is Eval that returns its error.
func TryEval[T any](p *Page, js string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](js, chromedp.EvalAwaitPromise))
}

// Until polls until ok; on giving up the test fails with what, and with what the page shows.
func (p *Page) Until(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(Patience)
	for !ok() {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: waited for %s; the page shows:\n%s", p.name, what, p.Tree())
		}
		time.Sleep(pollEvery)
	}
}

// Look is how a page is shown.
type Look struct {
	Width, Height int
	Dark          bool
	Locale        string // such as zh-CN; empty: unchanged
	Scale         float64
}

// Show changes how the page is shown; reload it to change the language.
func (p *Page) Show(l Look) {
	p.t.Helper()
	if l.Scale == 0 {
		l.Scale = 1
	}
	p.do("change the look", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: int64(l.Width), Height: int64(l.Height), DeviceScaleFactor: l.Scale})
		if err != nil {
			return err
		}
		scheme := "light"
		if l.Dark {
			scheme = "dark"
		}
		_, err = cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		if err != nil || l.Locale == "" {
			return err
		}
		ua := Eval[string](p, "navigator.userAgent")
		_, err = cdp.Call(ctx, t, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: ua, AcceptLanguage: l.Locale})
		return err
	}))
}

// Screenshot writes what the page shows as a PNG.
func (p *Page) Screenshot(path string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	data, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(path, data, 0o644)
	}
	if err != nil {
		p.t.Fatalf("%s: screenshot: %v", p.name, err)
	}
}

// Place moves the page's window; for pictures of a whole screen.
func (p *Page) Place(left, top int) {
	p.t.Helper()
	p.do("place the window", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		w, err := cdp.Call(ctx, t, cdpbrowser.GetWindowForTarget, cdpbrowser.GetWindowForTargetParams{})
		if err != nil {
			return err
		}
		l, tp := int64(left), int64(top)
		_, err = cdp.Call(ctx, t, cdpbrowser.SetWindowBounds, cdpbrowser.SetWindowBoundsParams{WindowID: w.WindowID, Bounds: &cdpbrowser.Bounds{Left: &l, Top: &tp}})
		return err
	}))
}
