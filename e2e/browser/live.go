package browser

import (
	"context"
	"encoding/json"
	"errors"

	cdpbrowser "github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/heapprofiler"
	"github.com/chromedp/cdproto/memory"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Live is what a page holds once its garbage is collected; what its workers hold is not in it.
type Live struct {
	Heap      int            // bytes, of objects and array buffers
	Nodes     int            // of the document, and those that scripts keep
	Listeners int            // of events
	Objects   map[string]int // of the classes that were asked for, inherited ones too
}

// Live counts what the page holds. classes are names of constructors, such as HTMLCanvasElement.
func (p *Page) Live(classes ...string) Live {
	p.t.Helper()
	live := Live{Objects: map[string]int{}}
	p.do("count what it holds", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		if _, err := cdp.Call(ctx, t, heapprofiler.CollectGarbage, cdp.Empty{}); err != nil {
			return err
		}
		heap, err := cdp.Call(ctx, t, runtime.GetHeapUsage, cdp.Empty{})
		if err != nil {
			return err
		}
		dom, err := cdp.Call(ctx, t, memory.GetDOMCounters, cdp.Empty{})
		if err != nil {
			return err
		}
		live.Heap, live.Nodes, live.Listeners = int(heap.UsedSize+heap.BackingStorageSize), int(dom.Nodes), int(dom.JsEventListeners)
		for _, class := range classes {
			if live.Objects[class], err = count(ctx, t, class); err != nil {
				return err
			}
		}
		return nil
	}))
	return live
}

func count(ctx context.Context, t *chromedp.Target, class string) (int, error) {
	made, err := cdp.Call(ctx, t, runtime.Evaluate, runtime.EvaluateParams{Expression: class + ".prototype"})
	if err != nil {
		return 0, err
	}
	if made.ExceptionDetails != nil {
		return 0, errors.New("there is no " + class)
	}
	list, err := cdp.Call(ctx, t, runtime.QueryObjects, runtime.QueryObjectsParams{PrototypeObjectID: made.Result.ObjectID})
	if err != nil {
		return 0, err
	}
	// The list keeps them alive until it is released.
	defer func() {
		_, _ = cdp.Call(ctx, t, runtime.ReleaseObject, runtime.ReleaseObjectParams{ObjectID: list.Objects.ObjectID})
	}()
	yes, n := true, 0
	length, err := cdp.Call(ctx, t, runtime.CallFunctionOn, runtime.CallFunctionOnParams{
		FunctionDeclaration: "function(){return this.length}", ObjectID: list.Objects.ObjectID, ReturnByValue: &yes,
	})
	if err != nil {
		return 0, err
	}
	err = json.Unmarshal(length.Result.Value, &n)
	return n, err
}

// Hide minimises the page's window: the page is hidden; Hide(false) shows it again.
func (p *Page) Hide(hidden bool) {
	p.t.Helper()
	state := cdpbrowser.WindowStateNormal
	if hidden {
		state = cdpbrowser.WindowStateMinimized
	}
	p.do("hide or show the window", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		w, err := cdp.Call(ctx, t, cdpbrowser.GetWindowForTarget, cdpbrowser.GetWindowForTargetParams{})
		if err != nil {
			return err
		}
		_, err = cdp.Call(ctx, t, cdpbrowser.SetWindowBounds, cdpbrowser.SetWindowBoundsParams{WindowID: w.WindowID, Bounds: &cdpbrowser.Bounds{WindowState: state}})
		return err
	}))
}

// Sleep stops everything in a hidden page, as a computer that sleeps does; Sleep(false) wakes it.
func (p *Page) Sleep(asleep bool) {
	p.t.Helper()
	state := page.SetWebLifecycleStateStateActive
	if asleep {
		state = page.SetWebLifecycleStateStateFrozen
	}
	p.do("sleep or wake", chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state})
		return err
	}))
}
