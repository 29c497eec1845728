package simulate

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/client"
	"github.com/lookalong/lookalong/signaling/servertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signIn makes an agent at the server and returns its key.
func signIn(t *testing.T, s *servertest.Server, name string) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(client.Config{URL: s.URL(), Role: "agent", Key: key, Invite: s.Invite(name, "agent"), Device: "test"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Patience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	if err := c.WaitOnline(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-ended
	return key
}

// play runs until enough has happened, as until says, and then ends it as Ctrl-C does.
func play(t *testing.T, o Options, until func(Counts) bool) Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*servertest.Patience)
	defer cancel()
	var once sync.Once
	o.OnStatus = func(p Progress) {
		if until(p.Counts) {
			once.Do(cancel)
		}
	}
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !until(r.Counts) {
		t.Fatalf("it did not come to that: %+v, errors %v", r.Counts, r.Errors)
	}
	return r
}

// sound fails the test where a promise of the chat was broken.
func sound(t *testing.T, r Report) {
	t.Helper()
	if r.Counts.Faulty() || r.Counts.Unchecked > 0 || r.Counts.Unconfirmed > 0 || r.Counts.Sent != r.Counts.Acked {
		t.Errorf("%+v, errors %v", r.Counts, r.Errors)
	}
}

func TestLoadWithAnswersAndCuts(t *testing.T) {
	s := servertest.New(t)
	r := play(t, Options{
		Server: s.URL(), Customers: 12, Load: true, Rate: 4, Duration: 30 * time.Minute, ReconnectEvery: MinReconnect,
		Answer: signIn(t, s, "Ana"),
	}, func(c Counts) bool {
		return c.Reconnects >= 12 && c.Replies >= 40 && c.Delivered >= 100 && c.Claimed == 12
	})
	sound(t, r)
	c, tm := r.Counts, r.Timings
	if c.Delivered != c.Acked {
		t.Errorf("%d of %d messages were seen by the agent", c.Delivered, c.Acked)
	}
	if tm.Connect.Count != 12 || tm.Ack.Count != c.Acked || tm.Delivery.Count == 0 || tm.Reconnect.Count != c.Reconnects || tm.CatchUp.Count == 0 || tm.Waited.Count != 12 || tm.Answered.Count == 0 {
		t.Errorf("%+v", tm)
	}
	if len(r.Errors) > 0 {
		t.Errorf("errors: %v", r.Errors)
	}
}

// The server is restarted in the middle: what was written meanwhile is stored afterwards, once.
func TestServerRestart(t *testing.T) {
	s := servertest.New(t)
	var restarted sync.Once
	var at Counts
	r := play(t, Options{Server: s.URL(), Customers: 4, Load: true, Rate: 5, Duration: 30 * time.Minute, Answer: signIn(t, s, "Ana")}, func(c Counts) bool {
		if c.Claimed == 4 && c.Delivered >= 10 {
			restarted.Do(func() {
				s.Stop()
				s.Start()
				at = c
			})
		}
		return at.Sent > 0 && c.Reconnects >= 4 && c.Delivered > at.Sent+10
	})
	sound(t, r)
	if r.Counts.Delivered != r.Counts.Acked || len(r.Errors) == 0 {
		t.Errorf("%+v, errors %v", r.Counts, r.Errors)
	}
}

// Pictures are really decoded by the answering agent, in both directions of asking; direct messages go both ways.
func TestShareAndDirect(t *testing.T) {
	s := servertest.New(t)
	for _, image := range []string{"png", "jpeg"} {
		r := play(t, Options{
			Server: s.URL(), Customers: 2, Load: true, Rate: 1, Duration: 30 * time.Minute, ReconnectEvery: 3 * time.Second,
			Share: true, Direct: true, FPS: 20, Width: 160, Height: 96, Image: image, Answer: signIn(t, s, "Ana"),
		}, func(c Counts) bool { // a cut while a session is asked for ends it, and it is asked for again
			return c.Sessions >= 2 && c.Shares >= 2 && c.PicturesShown >= 40 && c.DirectConfirmed >= 2 && c.DirectReceived >= 2 && c.Reconnects >= 2
		})
		sound(t, r)
		c := r.Counts
		if c.PicturesShown > c.PicturesSent || r.Timings.FirstPicture.Count < 2 || r.Timings.FirstPicture.Count > c.Shares || r.Timings.PictureAge.Count != c.PicturesShown || r.Timings.Direct.Count != c.DirectConfirmed {
			t.Errorf("%s: %+v, %+v, errors %v", image, c, r.Timings, r.Errors)
		}
	}
}

func TestNobodyIsThere(t *testing.T) {
	s := servertest.New(t)
	key := signIn(t, s, "Ana")
	s.Stop()
	for name, o := range map[string]Options{
		"customers": {Server: s.URL(), Customers: 3},
		"agent":     {Server: s.URL(), Customers: 3, Load: true, Answer: key},
	} {
		if r, err := Run(context.Background(), o); !errors.Is(err, client.ErrUnreachable) || r.Counts.Connected > 0 {
			t.Errorf("%s: %v, %+v", name, err, r.Counts)
		}
	}
	s.Start()
	_, stranger, _ := ed25519.GenerateKey(rand.Reader)
	var stop *client.StopError
	if _, err := Run(context.Background(), Options{Server: s.URL(), Customers: 1, Load: true, Answer: stranger}); !errors.As(err, &stop) || stop.Code != protocol.CloseAuth {
		t.Errorf("an agent that is not signed in: %v", err)
	}
}

// agentAt is a scripted person at a rehearsal.
func agentAt(t *testing.T, s *servertest.Server) *servertest.Conn {
	t.Helper()
	a, _ := s.Agent("Ana")
	a.Send(protocol.QueueList{ID: a.ID(), Watch: true})
	return a
}

// A rehearsal with a person: the customers come, wait, answer, say thanks and leave; their pages are marked.
func TestRehearsal(t *testing.T) {
	s := servertest.New(t)
	a := agentAt(t, s)
	type result struct {
		r   Report
		err error
	}
	var mu sync.Mutex
	var said []string
	ended := make(chan result, 1)
	go func() {
		r, err := Run(context.Background(), Options{Server: s.URL(), Customers: 2, Pace: MaxPace, Language: "zh", OnEvent: func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, fmt.Sprint(e.Customer, " ", e.What, " ", e.Text))
		}})
		ended <- result{r, err}
	}()
	for n := range 2 {
		q := servertest.Want(a, func(q protocol.QueueState) bool {
			return q.Total > 0 && q.Items[0].Page != nil && q.Items[0].LastSeq >= 2
		})
		if title := q.Items[0].Page.Title; title != "Rehearsal · "+storiesIn("zh")[n].title {
			t.Errorf("the page is %q", title)
		}
		conv := q.Items[0].Conversation
		seq := a.Claim(conv).LastSeq
		for replies := 0; replies < len(storiesIn("zh")[n].replies)+1; replies++ {
			a.Send(protocol.ChatTyping{Conversation: conv, Typing: true})
			a.Say(conv, "你好")
			servertest.Want(a, func(m protocol.PresenceTyping) bool {
				return m.Conversation == conv && m.From == "customer" && m.Typing
			})
			m := servertest.Want(a, func(m protocol.ChatMessage) bool { return m.Conversation == conv && m.Seq > seq })
			seq = m.Seq
		}
		servertest.Want(a, func(m protocol.ChatMarks) bool { return m.Conversation == conv && m.Marks.CustomerRead > 0 })
		servertest.Want(a, func(m protocol.ConversationState) bool { return m.Conversation == conv && m.State == "closed" })
		a.Forget()
		if n == 0 {
			a.Send(protocol.QueueList{ID: a.ID()}) // the other may wait already
		}
	}
	got := <-ended
	if got.err != nil {
		t.Fatal(got.err)
	}
	sound(t, got.r)
	c := got.r.Counts
	// 14 lines of the two stories, and each may wonder twice whether anybody is there.
	if c.Claimed != 2 || c.Answered != 2 || c.Finished != 2 || c.Sent < 14 || c.Sent > 18 || c.Replies != 10 || got.r.Timings.Waited.Count != 2 || got.r.Timings.Answered.Count == 0 {
		t.Errorf("%+v, %+v", c, got.r.Timings)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"1 arrived ", "1 claimed Ana", "1 thanks ", "1 left ", "2 arrived ", "2 left "} {
		if !slices.Contains(said, want) {
			t.Errorf("nobody said %q: %q", want, said)
		}
	}
}

// Without --share and --direct a simulated customer says no, after a while.
func TestSaysNo(t *testing.T) {
	s := servertest.New(t)
	a := agentAt(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan Report, 1)
	go func() {
		r, _ := Run(ctx, Options{Server: s.URL(), Customers: 1, Pace: MaxPace})
		ended <- r
	}()
	q := servertest.Want(a, func(q protocol.QueueState) bool { return q.Total > 0 })
	conv := q.Items[0].Conversation
	a.Claim(conv)
	for _, picture := range []bool{true, false} {
		id := a.ID()
		a.Send(protocol.SessionRequest{ID: id, Conversation: conv, Picture: picture})
		servertest.Want(a, func(m protocol.SessionState) bool { return m.ID == id })
		if picture {
			servertest.Want(a, func(m protocol.ConsentState) bool { return m.State == "asked" })
			servertest.Want(a, func(m protocol.ConsentState) bool { return m.State == "off" && m.Cause == "declined" })
		}
		servertest.Want(a, func(m protocol.SessionState) bool { return m.State == "ended" && m.Reason == "declined" })
		a.Forget()
	}
	cancel()
	sound(t, <-ended)
	servertest.Want(a, func(m protocol.ConversationState) bool { return m.Conversation == conv && m.State == "closed" })
}

// The consent on the wire: a question within a session is answered like a real customer's, and an end stops it.
func TestConsentOnTheWire(t *testing.T) {
	s := servertest.New(t)
	a := agentAt(t, s)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan Report, 1)
	go func() {
		r, _ := Run(ctx, Options{Server: s.URL(), Customers: 1, Pace: MaxPace, Share: true, Leave: true})
		ended <- r
	}()
	q := servertest.Want(a, func(q protocol.QueueState) bool { return q.Total > 0 })
	conv := q.Items[0].Conversation
	a.Claim(conv)
	id := a.ID()
	a.Send(protocol.SessionRequest{ID: id, Conversation: conv, Picture: true})
	sess := servertest.Want(a, func(m protocol.SessionState) bool { return m.ID == id })
	var states []string
	next := func() {
		m := servertest.Want(a, func(m protocol.ConsentState) bool { return m.Session == sess.Session })
		states = append(states, m.State+" "+m.Cause+" "+m.Surface)
	}
	for range 3 {
		next()
	}
	servertest.Want(a, func(m protocol.SessionState) bool {
		return m.Session == sess.Session && m.State == "connecting" && m.Bound
	})
	cancel()
	next()
	servertest.Want(a, func(m protocol.SessionState) bool { return m.State == "ended" && m.Reason == "left" })
	if got, want := fmt.Sprintf("%q", states), `["asked  " "picking  " "on  pattern" "off stopped "]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	sound(t, <-ended)
	a.Forget()
	wid := a.ID()
	a.Send(protocol.ConversationWatch{ID: wid, Conversation: conv})
	if st := servertest.Want(a, func(m protocol.ConversationState) bool { return m.ID == wid }); st.State != "claimed" {
		t.Errorf("the conversation was to stay, and is %s", st.State)
	}
}

// The same seed gives the same customers: the second run goes on in the conversation of the first.
func TestKept(t *testing.T) {
	s := servertest.New(t)
	_, seed, _ := ed25519.GenerateKey(rand.Reader)
	o := Options{Server: s.URL(), Customers: 1, Load: true, Rate: MaxRate, Duration: 30 * time.Minute, Seed: seed}
	first := play(t, o, func(c Counts) bool { return c.Acked >= 3 })
	second := play(t, o, func(c Counts) bool { return c.Acked >= 3 })
	sound(t, first)
	sound(t, second)
	a := agentAt(t, s)
	id := a.ID()
	a.Send(protocol.ConversationList{ID: id, Scope: "recent"})
	items := servertest.Want(a, func(m protocol.ConversationItems) bool { return m.ID == id }).Items
	if len(items) != 1 || items[0].LastSeq != first.Counts.Acked+second.Counts.Acked || items[0].State != "closed" {
		t.Errorf("%+v after %d and %d messages", items, first.Counts.Acked, second.Counts.Acked)
	}
}
