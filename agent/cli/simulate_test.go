package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	_ "image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/agent/simulate"
	"github.com/lookalong/lookalong/agent/support/supporttest"
	"github.com/lookalong/lookalong/internal/pattern"
	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// shape lists the paths of a JSON value with their types, sorted.
func shape(path string, v any) (out []string) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			out = append(out, shape(strings.TrimPrefix(path+"."+key, "."), value)...)
		}
		if len(v) == 0 {
			out = append(out, path+" {}")
		}
		slices.Sort(out)
	case string:
		out = append(out, path+" string")
	case float64:
		out = append(out, path+" number")
	default:
		out = append(out, fmt.Sprintf("%s %T", path, v))
	}
	return out
}

// TestSimulateJSON compares the shape of the report with its golden file: it is an interface of version 1.
func TestSimulateJSON(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	streams, out, errs := term.Test("")
	if code := Main(context.Background(), []string{"simulate", "--answer", "--customers", "2", "--rate", "4", "--duration", "2s", "--json"}, streams); code != 0 {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if !strings.HasPrefix(out.String(), `{"version":1,"mode":"load","server":"`+s.URL()+`","customers":2,`) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("it begins with %.80s", out)
	}
	var v any
	if err := json.Unmarshal(out.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(shape("", v), "\n") + "\n"
	file := filepath.Join("testdata", "simulate.shape.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got {
		t.Errorf("the report differs from %s (%v); fields are never renamed within a version:\n%s", file, err, got)
	}
	doc, err := os.ReadFile("../../docs/rehearsal.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range shape("", v) {
		name, _, _ := strings.Cut(line, " ")
		name = name[strings.LastIndex(name, ".")+1:]
		if !bytes.Contains(doc, []byte("`"+name+"`")) {
			t.Errorf("docs/rehearsal.md does not say what %s is", name)
		}
	}
}

func TestSimulateVerdict(t *testing.T) {
	for _, c := range []struct {
		counts simulate.Counts
		code   int
	}{
		{simulate.Counts{Sent: 5, Acked: 4, Unconfirmed: 1}, exitDone},
		{simulate.Counts{Lost: 1}, exitFailed}, {simulate.Counts{Doubled: 1}, exitFailed}, {simulate.Counts{OutOfOrder: 1}, exitFailed},
		{simulate.Counts{PicturesBad: 1}, exitFailed}, {simulate.Counts{Unchecked: 1}, exitUnreachable}, {simulate.Counts{Lost: 1, Unchecked: 1}, exitFailed},
	} {
		s, _, errs := term.Test("")
		if code := (&app{io: s}).explain(verdict(simulate.Report{Counts: c.counts})); code != c.code || (code == 0) != (errs.Len() == 0) {
			t.Errorf("%+v: exit code %d, %q", c.counts, code, errs)
		}
	}
}

// A report of fewer customers than were asked for says so first.
func TestSimulateReportSaysHowManyCame(t *testing.T) {
	for came, want := range map[int64]string{
		1000: "Customers: 1000 in 1m0s, ", 999: "Customers: 999 of 1000 came in 1m0s, ", 984: "Customers: 984 of 1000 came in 1m0s, ", 0: "Customers: 0 of 1000 came in 1m0s, ",
	} {
		s, out, _ := term.Test("")
		r := simulate.Report{Mode: "load", Customers: 1000, Seconds: 60, Counts: simulate.Counts{Connected: came}}
		if err := (&app{io: s}).printReport(r); err != nil || !strings.HasPrefix(out.String(), want) {
			t.Errorf("%v, %.60q, want %q", err, out, want)
		}
	}
}

// The line that changes is wiped before another is written; whatever is foreign in one is made safe.
func TestSimulateBoard(t *testing.T) {
	s, _, errs := term.Test("")
	s.Width = 60
	b := &board{app: &app{io: s}}
	b.status(simulate.Progress{Elapsed: 12 * time.Second, Online: 3, Counts: simulate.Counts{Sent: 1234567, Acked: 1234560, Replies: 99}})
	b.event(simulate.Event{Customer: 1, What: "claimed", Text: "Ana\x1b[2J"})
	b.clear()
	line, rest, _ := strings.Cut(errs.String(), "…")
	if !strings.HasPrefix(line, "\r\x1b[K12s  3 online, 1234567 sent") || term.Columns(strings.TrimPrefix(line, "\r\x1b[K")) > 59 || rest != "\r\x1b[KCustomer 1 is taken by Ana\ufffd[2J.\n" {
		t.Errorf("%q", errs)
	}
}

// numbers opens a viewer page, says that it decodes PNG, paints what comes, and returns the numbers of the pictures.
func numbers(t *testing.T, url string) <-chan uint16 {
	t.Helper()
	origin, code, _ := strings.Cut(url, "/#code=")
	ws, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(origin, "http")+"/ws", map[string][]string{"Origin": {origin}})
	if err != nil {
		t.Fatal(err)
	}
	out, done := make(chan uint16, 1000), make(chan struct{})
	send := func(msg any) { _ = ws.WriteMessage(websocket.TextMessage, protocol.Encode(msg)) } // the page may be closed
	send(protocol.ViewerHello{Code: code})
	send(protocol.ViewerCodecs{Decodable: []string{"image/png"}})
	go func() {
		defer close(done)
		defer close(out)
		for {
			kind, data, err := ws.ReadMessage()
			if err != nil {
				return
			}
			if kind != websocket.BinaryMessage {
				continue
			}
			head, _, err := protocol.ParseChunk(data[:protocol.FrameHeaderBytes+1])
			if err != nil {
				t.Error(err)
				return
			}
			img, _, err := image.Decode(bytes.NewReader(data[protocol.FrameHeaderBytes:]))
			if err != nil {
				t.Error(err)
				return
			}
			n, err := pattern.Read(img)
			if err != nil {
				t.Error(err)
				return
			}
			send(protocol.ViewerPainted{Frame: head.Frame, AtMs: time.Now().UnixMilli()})
			out <- n
		}
	}()
	t.Cleanup(func() { ws.Close(); <-done })
	return out
}

// A rehearsal as people have it: one command plays the customer, another is the agent, who asks to see the screen.
func TestRehearsalWithTheRealChat(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	chat := startCommand(t, "chat", "--next", "--no-open")
	chat.errs.want(t, "Nobody is waiting")
	play := startCommand(t, "simulate", "--customers", "1", "--share", "--direct", "--fps", "20", "--size", "160x96", "--pace", "50", "--language", "en")
	chat.errs.want(t, "The customer is on “Rehearsal · Delivery of an order”")
	chat.out.want(t, "Customer: Hello! My parcel was supposed")
	chat.line(t, "/share")
	seen := numbers(t, chat.errs.want(t, `good once and for a minute: (http://127\.0\.0\.1:\S+)$`))
	chat.errs.want(t, "The customer shows a test pattern")
	last := -1
	for range 10 {
		select {
		case n := <-seen:
			if int(n) <= last {
				t.Errorf("picture %d after %d", n, last)
			}
			last = int(n)
		case <-time.After(supporttest.Patience):
			t.Fatal("no picture came")
		}
	}
	answer := func(reply string) {
		t.Helper()
		chat.line(t, "One moment, please.")
		chat.out.want(t, reply)
	}
	answer("It's order 4711-0815")
	answer("No, there was no card")
	answer(`⇄ Customer \(direct\): The door code is 2580`)
	answer("The address is the right one")
	answer("Thursday afternoon")
	answer("Great, thank you for looking into it!")
	if code := play.end(t); code != 0 {
		t.Errorf("simulate: exit code %d", code)
	}
	if code := chat.end(t); code != 0 {
		t.Errorf("chat: exit code %d", code)
	}
	play.out.want(t, `^Customers: 1 in [0-9.ms]+, 1 claimed, 1 answered, 1 stories told to the end$`)
	play.out.want(t, `^0 lost, 0 doubled, 0 out of order, 0 unconfirmed, 0 unchecked$`)
	play.out.want(t, `^waited for an agent +1 `)
	play.out.want(t, `^answered within +[0-9]+ `)
	play.out.want(t, `^first picture +1 `)
	play.out.want(t, `^age of pictures +[0-9]+ `)
	play.errs.want(t, `^Customer 1 says thanks\.$`)
	if strings.Contains(s.Log.String(), "2580") {
		t.Error("the direct message is in the server's log")
	}
}

// Ctrl-C in the middle: the report is printed all the same, and the conversation is closed.
func TestSimulateInterrupted(t *testing.T) {
	s := servertest.New(t)
	signedIn(t, s, "Ana")
	streams, out, errs := term.Test("")
	ctx, cancel := context.WithCancel(context.Background())
	watch, _ := s.Agent("Bea")
	watch.Send(protocol.QueueList{ID: watch.ID(), Watch: true})
	code := make(chan int, 1)
	go func() {
		code <- Main(ctx, []string{"simulate", "--customers", "1", "--pace", "100", "--json"}, streams)
	}()
	q := servertest.Want(watch, func(q protocol.QueueState) bool { return q.Total == 1 && q.Items[0].LastSeq > 0 })
	cancel()
	if got := <-code; got != exitInterrupted {
		t.Errorf("exit code %d: %s", got, errs)
	}
	var r simulate.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Version != 1 || r.Mode != "rehearsal" || r.Counts.Acked == 0 || r.Counts.Faulty() {
		t.Errorf("%v: %s", err, out)
	}
	servertest.Want(watch, func(now protocol.QueueState) bool { return now.Total == 0 })
	id := watch.ID()
	watch.Send(protocol.ConversationWatch{ID: id, Conversation: q.Items[0].Conversation})
	if st := servertest.Want(watch, func(m protocol.ConversationState) bool { return m.ID == id }); st.State != "closed" {
		t.Errorf("the conversation is %s", st.State)
	}
}
