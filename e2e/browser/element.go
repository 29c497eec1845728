package browser

// Finding and using the elements of a page by role and accessible name.

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/dom"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

type node struct {
	backend cdp.BackendNodeID
	ax      *accessibility.Node
}

func (p *Page) query(role, name string) ([]node, error) {
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	var out []node
	_, err := chromedp.Run(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		doc, err := cdp.Call(ctx, t, runtime.Evaluate, runtime.EvaluateParams{Expression: "document"})
		if err != nil {
			return err
		}
		res, err := cdp.Call(ctx, t, accessibility.QueryAXTree, accessibility.QueryAXTreeParams{ObjectID: doc.Result.ObjectID, AccessibleName: name, Role: role})
		if err != nil {
			return err
		}
		for _, n := range res.Nodes {
			if !n.Ignored {
				out = append(out, node{n.BackendDOMNodeID, n})
			}
		}
		return nil
	}))
	return out, err
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

func value(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// Enabled waits until it is there and not disabled.
func (p *Page) Enabled(role, name string) {
	p.t.Helper()
	p.Until("enabled "+role+" “"+name+"”", func() bool {
		nodes, err := p.query(role, name)
		return err == nil && len(nodes) > 0 && !disabled(nodes[0].ax)
	})
}

func disabled(n *accessibility.Node) bool {
	for _, prop := range n.Properties {
		if prop.Name == accessibility.PropertyNameDisabled {
			return value(prop.Value) == "true"
		}
	}
	return false
}

// Click waits until it is there and enabled, and clicks it with the mouse: a trusted event, a user's activation.
func (p *Page) Click(role, name string) {
	p.t.Helper()
	p.Enabled(role, name)
	p.Until("a place to click on "+role+" “"+name+"”", func() bool {
		nodes, err := p.query(role, name)
		if err != nil || len(nodes) == 0 {
			return false
		}
		ctx, cancel := context.WithTimeout(p.ctx, Patience)
		defer cancel()
		_, err = chromedp.Run(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			if _, err := cdp.Call(ctx, t, dom.ScrollIntoViewIfNeeded, dom.ScrollIntoViewIfNeededParams{BackendNodeID: nodes[0].backend}); err != nil {
				return err
			}
			box, err := cdp.Call(ctx, t, dom.GetContentQuads, dom.GetContentQuadsParams{BackendNodeID: nodes[0].backend})
			if err != nil {
				return err
			}
			if len(box.Quads) == 0 {
				return errors.New("not drawn")
			}
			q := box.Quads[0]
			x, y := (q[0]+q[2]+q[4]+q[6])/4, (q[1]+q[3]+q[5]+q[7])/4
			for _, typ := range []input.DispatchMouseEventType{input.DispatchMouseEventTypeMousePressed, input.DispatchMouseEventTypeMouseReleased} {
				_, err := cdp.Call(ctx, t, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: typ, X: x, Y: y, Button: input.MouseButtonLeft, ClickCount: 1})
				if err != nil {
					return err
				}
			}
			return nil
		}))
		return err == nil
	})
}

// Focus gives it the keyboard.
func (p *Page) Focus(role, name string) {
	p.t.Helper()
	p.Until("focus on "+role+" “"+name+"”", func() bool {
		nodes, err := p.query(role, name)
		if err != nil || len(nodes) == 0 {
			return false
		}
		ctx, cancel := context.WithTimeout(p.ctx, Patience)
		defer cancel()
		_, err = chromedp.Run(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
			_, err := cdp.Call(ctx, t, dom.Focus, dom.FocusParams{BackendNodeID: nodes[0].backend})
			return err
		}))
		return err == nil
	})
}

// Type focuses it and types.
func (p *Page) Type(role, name, text string) {
	p.t.Helper()
	p.Focus(role, name)
	p.do("type", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, input.InsertText, input.InsertTextParams{Text: text})
		return err
	}))
}

// Press presses a key where the focus is: Enter, Escape, Tab, or a character.
func (p *Page) Press(key string) {
	p.t.Helper()
	keys := map[string]string{"Enter": kb.Enter, "Escape": kb.Escape, "Tab": kb.Tab}
	if k, ok := keys[key]; ok {
		key = k
	}
	p.do("press a key", chromedp.KeyEvent(key))
}

// Text is the visible text of it.
func (p *Page) Text(role, name string) string {
	nodes, err := p.query(role, name)
	if err != nil || len(nodes) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(p.ctx, Patience)
	defer cancel()
	out := ""
	_, _ = chromedp.Run(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error { // a node that went meanwhile has no text
		obj, err := cdp.Call(ctx, t, dom.ResolveNode, dom.ResolveNodeParams{BackendNodeID: nodes[0].backend})
		if err != nil {
			return err
		}
		yes := true
		res, err := cdp.Call(ctx, t, runtime.CallFunctionOn, runtime.CallFunctionOnParams{
			FunctionDeclaration: "function(){return this.value!==undefined&&this.value!==''?this.value:this.innerText}", ObjectID: obj.Object.ObjectID, ReturnByValue: &yes,
		})
		if err == nil && res.Result != nil {
			out = unquote(string(res.Result.Value))
		}
		return err
	}))
	return out
}

// WaitText waits until the text of it contains part.
func (p *Page) WaitText(role, name, part string) {
	p.t.Helper()
	p.Until(fmt.Sprintf("%s “%s” with %q", role, name, part), func() bool { return strings.Contains(p.Text(role, name), part) })
}

// WaitPage waits until the page's visible text contains part.
func (p *Page) WaitPage(part string) {
	p.t.Helper()
	p.Until(fmt.Sprintf("the text %q", part), func() bool { return strings.Contains(p.Body(), part) })
}

// Body is the page's visible text.
func (p *Page) Body() string {
	s, _ := TryEval[string](p, "document.body.innerText") // between two pages there is none
	return s
}

// Tree is the accessibility tree in lines, for messages of failed tests.
func (p *Page) Tree() string {
	nodes, err := p.query("", "")
	if err != nil {
		return err.Error()
	}
	var b strings.Builder
	for _, n := range nodes {
		if name := value(n.ax.Name); name != "" {
			fmt.Fprintf(&b, "  %s “%s”\n", value(n.ax.Role), name)
		}
	}
	return b.String()
}

// Finger is one on the screen, in CSS pixels of the page.
type Finger struct{ X, Y float64 }

// Touch puts fingers on the page, moves them evenly, and lifts them.
func (p *Page) Touch(from, to []Finger) {
	p.t.Helper()
	const steps = 8
	p.do("touch", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		send := func(typ input.DispatchTouchEventType, points []*input.TouchPoint) error {
			_, err := cdp.Call(ctx, t, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: typ, TouchPoints: points})
			return err
		}
		for step := range steps + 1 {
			points := []*input.TouchPoint{}
			for i := range from {
				id, part := float64(i), float64(step)/steps
				points = append(points, &input.TouchPoint{ID: &id, X: from[i].X + part*(to[i].X-from[i].X), Y: from[i].Y + part*(to[i].Y-from[i].Y)})
			}
			typ := input.DispatchTouchEventTypeTouchMove
			if step == 0 {
				typ = input.DispatchTouchEventTypeTouchStart
			}
			if err := send(typ, points); err != nil {
				return err
			}
		}
		return send(input.DispatchTouchEventTypeTouchEnd, []*input.TouchPoint{})
	}))
}
