package firefox

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Page is one tab. Its methods fail the test when they can't do what they say.
type Page struct {
	t       testing.TB
	b       *Browser
	context string
	name    string
}

// Open opens a tab with a page, in front of the others.
func (b *Browser) Open(name, url string) *Page {
	b.t.Helper()
	var made struct{ Context string }
	b.must("browsingContext.create", map[string]any{"type": "tab"}, &made)
	p := &Page{t: b.t, b: b, context: made.Context, name: name}
	p.Go(url)
	return p
}

// Go opens another address in the same tab.
func (p *Page) Go(url string) {
	p.t.Helper()
	p.b.must("browsingContext.navigate", p.with(map[string]any{"url": url, "wait": "complete"}), nil)
}

// Front shows the tab instead of the one that is in front; that one is hidden then.
func (p *Page) Front() {
	p.t.Helper()
	p.b.must("browsingContext.activate", p.with(nil), nil)
}

func (p *Page) with(params map[string]any) map[string]any {
	out := map[string]any{"context": p.context}
	for k, v := range params {
		out[k] = v
	}
	return out
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

// TryEval is Eval that returns its error. The value travels as JSON.
func TryEval[T any](p *Page, js string) (T, error) {
	var value T
	text, err := p.evaluate("(async()=>JSON.stringify(await (" + js + ")))()")
	if err == nil && text != "" {
		err = json.Unmarshal([]byte(text), &value)
	}
	return value, err
}

// evaluate returns the string that the expression's promise gives.
func (p *Page) evaluate(js string) (string, error) {
	var done struct {
		Type             string
		Result           struct{ Value string }
		ExceptionDetails struct{ Text string }
	}
	err := p.b.c.call("script.evaluate", map[string]any{"expression": js, "awaitPromise": true, "target": map[string]any{"context": p.context}}, &done)
	if err == nil && done.Type == "exception" {
		err = fmt.Errorf("%s", done.ExceptionDetails.Text)
	}
	return done.Result.Value, err
}

// Until polls until ok; on giving up the test fails with what, and with what the page shows.
func (p *Page) Until(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(Patience)
	for !ok() {
		if time.Now().After(deadline) {
			p.t.Fatalf("%s: waited for %s; the page shows:\n%s", p.name, what, p.Body())
		}
		time.Sleep(pollEvery)
	}
}

// Body is the page's visible text.
func (p *Page) Body() string {
	s, _ := TryEval[string](p, "document.body.innerText") // between two pages there is none
	return s
}

// WaitPage waits until the page's visible text contains part.
func (p *Page) WaitPage(part string) {
	p.t.Helper()
	p.Until(fmt.Sprintf("the text %q", part), func() bool { return strings.Contains(p.Body(), part) })
}

type node struct {
	SharedID string `json:"sharedId"`
}

func (p *Page) query(role, name string) ([]node, error) {
	var found struct{ Nodes []node }
	err := p.b.c.call("browsingContext.locateNodes", p.with(map[string]any{
		"locator": map[string]any{"type": "accessibility", "value": map[string]any{"role": role, "name": name}},
	}), &found)
	return found.Nodes, err
}

// Has reports whether something with this role and accessible name is there now.
func (p *Page) Has(role, name string) bool {
	nodes, err := p.query(role, name)
	return err == nil && len(nodes) > 0
}

// Wait waits until it is there.
func (p *Page) Wait(role, name string) {
	p.t.Helper()
	p.Until(role+" “"+name+"”", func() bool { return p.Has(role, name) })
}

// Gone waits until it is not there.
func (p *Page) Gone(role, name string) {
	p.t.Helper()
	p.Until(role+" “"+name+"” to go", func() bool {
		nodes, err := p.query(role, name)
		return err == nil && len(nodes) == 0
	})
}

// Click waits until it is there and enabled, and clicks it with the mouse: a trusted event, a user's activation.
func (p *Page) Click(role, name string) {
	p.t.Helper()
	p.Until("a "+role+" “"+name+"” to click", func() bool {
		nodes, err := p.query(role, name)
		return err == nil && len(nodes) > 0 && p.enabled(nodes[0]) && p.click(nodes[0]) == nil
	})
}

func (p *Page) enabled(n node) bool {
	var done struct{ Result struct{ Value bool } }
	err := p.b.c.call("script.callFunction", map[string]any{
		"functionDeclaration": "n=>{n.scrollIntoView({block:'nearest'});return !n.disabled}", "arguments": []node{n},
		"awaitPromise": false, "target": map[string]any{"context": p.context},
	}, &done)
	return err == nil && done.Result.Value
}

func (p *Page) click(n node) error {
	return p.b.c.call("input.performActions", p.with(map[string]any{"actions": []any{map[string]any{
		"type": "pointer", "id": "mouse", "actions": []any{
			map[string]any{"type": "pointerMove", "x": 0, "y": 0, "origin": map[string]any{"type": "element", "element": n}},
			map[string]any{"type": "pointerDown", "button": 0},
			map[string]any{"type": "pointerUp", "button": 0},
		},
	}}}), nil)
}

// keys that are not characters, by WebDriver's code points.
var keys = map[string]string{"Enter": "\ue007", "Escape": "\ue00c", "Tab": "\ue004"}

// Press presses keys where the focus is: Enter, Escape, Tab, or the characters of a text.
func (p *Page) Press(text string) {
	p.t.Helper()
	if key, ok := keys[text]; ok {
		text = key
	}
	var actions []any
	for _, key := range text {
		actions = append(actions, map[string]any{"type": "keyDown", "value": string(key)}, map[string]any{"type": "keyUp", "value": string(key)})
	}
	p.b.must("input.performActions", p.with(map[string]any{"actions": []any{map[string]any{"type": "key", "id": "keyboard", "actions": actions}}}), nil)
}

// Type clicks it and types.
func (p *Page) Type(role, name, text string) {
	p.t.Helper()
	p.Click(role, name)
	p.Press(text)
}
