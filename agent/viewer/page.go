package viewer

// One viewer page: its socket, the reading goroutine and the one writing goroutine.

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/lookalong/lookalong/protocol"
)

const (
	helloTimeout = 5 * time.Second
	pageLimit    = 4 << 10 // of one message from the page
	writeTimeout = 10 * time.Second
)

// page is one open viewer page.
type page struct {
	ws      *websocket.Conn
	wake    chan struct{} // capacity 1: something may be there to send
	readers [protocol.MaxStreams]*Reader
}

func (p *page) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// servePage upgrades, admits and serves one page until it goes or ctx ends.
func (s *Server) servePage(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{
		HandshakeTimeout: helloTimeout, WriteBufferSize: 64 << 10,
		CheckOrigin: func(r *http.Request) bool { return s.guard.Upgrade(r) == nil }, //guard:T31
	}
	ws, err := up.Upgrade(w, r, nil)
	if err != nil {
		return // Upgrade has answered
	}
	defer ws.Close()
	ws.SetReadLimit(pageLimit)
	_ = ws.SetReadDeadline(time.Now().Add(helloTimeout))
	_, data, err := ws.ReadMessage()
	if err != nil {
		return
	}
	msg, err := protocol.Decode(data, protocol.ViewerPage)
	hello, ok := msg.(protocol.ViewerHello)
	if err != nil || !ok {
		bye(ws, protocol.CloseBadMessage, "The first message is not viewer.hello.")
		return
	}
	token, err := s.guard.Admit(hello)
	if err != nil {
		bye(ws, protocol.CloseAuth, err.Error())
		return
	}
	_ = ws.SetReadDeadline(time.Time{})

	p := &page{ws: ws, wake: make(chan struct{}, 1)}
	for i := range s.streams {
		p.readers[i] = s.streams[i].queue.Join(p.wake)
		defer s.streams[i].queue.Leave(p.readers[i])
	}
	if !s.add(p) {
		bye(ws, protocol.CloseTryLater, "Too many viewer pages are open. Close one.")
		return
	}
	defer s.remove(p)
	ended, end := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { s.writePage(ended, p, token) })
	s.readPage(p)
	end()
	wait.Wait()
}

func (s *Server) add(p *page) bool {
	s.mu.Lock()
	n := len(s.pages)
	if n < maxPages {
		s.pages[p] = struct{}{}
		n++
	} else {
		n = -1
	}
	s.mu.Unlock()
	if n < 0 {
		return false
	}
	s.cfg.OnPages(n)
	return true
}

func (s *Server) remove(p *page) {
	s.mu.Lock()
	delete(s.pages, p)
	n := len(s.pages)
	s.mu.Unlock()
	s.cfg.OnPages(n)
}

// readPage hands the page's messages on until its socket ends or it breaks the contract.
func (s *Server) readPage(p *page) {
	for {
		kind, data, err := p.ws.ReadMessage()
		if err != nil {
			return
		}
		msg, err := protocol.Decode(data, protocol.ViewerPage)
		if err != nil || kind != websocket.TextMessage {
			s.cfg.Log.Warn("bad message from the viewer page", "err", err)
			bye(p.ws, protocol.CloseBadMessage, "The page and this program do not fit together. Reload the page.")
			return
		}
		switch m := msg.(type) {
		case protocol.ViewerCodecs:
			s.cfg.OnCodecs(m.Decodable)
		case protocol.ViewerPainted:
			s.cfg.OnPainted(uint8(m.Stream), m.Frame, m.AtMs)
		case protocol.ViewerKeyframe:
			s.streams[m.Stream].queue.Lose(p.readers[m.Stream])
		case protocol.ViewerStill:
			s.cfg.OnStill(uint8(m.Stream), m.Auto)
		}
	}
}

// told is what a page was told: the counters of the state and of each stream, and whether that has a configuration.
type told struct {
	state   int
	streams [protocol.MaxStreams]struct {
		counters
		config bool
	}
}

// news is what a page was not told yet; it is told afterwards.
func (s *Server) news(was *told) (out []any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was.state != s.stateNo {
		out = append(out, s.state)
	}
	was.state = s.stateNo
	for i := range s.streams {
		st, w := &s.streams[i], &was.streams[i]
		if w.removals != st.removals && w.config {
			out = append(out, protocol.ViewerRemoved{Stream: i})
			w.config = false
		}
		if w.configs != st.configs && st.config != nil {
			out = append(out, *st.config)
			w.config = true
		}
		if w.levels != st.levels && st.level != nil {
			out = append(out, *st.level)
		}
		if w.refusals != st.refusals {
			out = append(out, protocol.ViewerRefused{Stream: i, Why: st.refused})
		}
		w.counters = st.counters
	}
	return out
}

// newcomer has been told nothing. Refusals before its time are none of its own.
func (s *Server) newcomer() (t told) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.state = -1
	for i := range s.streams {
		t.streams[i].refusals = s.streams[i].refusals
	}
	return t
}

// writePage is the only writer of data: the welcome, then state and streams as they change, then the streams' frames
// in turn, each in order. Frames wait until the page knows what they are.
func (s *Server) writePage(ctx context.Context, p *page, token string) {
	defer p.ws.Close()
	put := func(msg any) bool {
		_ = p.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
		return p.ws.WriteMessage(websocket.TextMessage, protocol.Encode(msg)) == nil
	}
	if !put(protocol.ViewerWelcome{Token: token}) {
		return
	}
	told := s.newcomer()
	for {
		for _, msg := range s.news(&told) {
			if !put(msg) {
				return
			}
		}
		more := false
		for i := range told.streams {
			if !told.streams[i].config {
				continue
			}
			if f := s.streams[i].queue.Take(p.readers[i]); f != nil {
				if more = true; !p.putFrame(f) {
					return
				}
			}
		}
		if more {
			continue
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			bye(p.ws, protocol.CloseGoingAway, "The share has ended.")
			return
		}
	}
}

// putFrame sends a frame as one binary message: the header with chunk 0 of 1, then the whole payload.
func (p *page) putFrame(f *protocol.Frame) bool {
	_ = p.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
	w, err := p.ws.NextWriter(websocket.BinaryMessage)
	if err != nil {
		return false
	}
	head := protocol.Chunk{Kind: f.Kind, Stream: f.Stream, Chunks: 1, Frame: f.Frame, CaptureMs: f.CaptureMs}
	if _, err := w.Write(head.AppendHeader(make([]byte, 0, protocol.FrameHeaderBytes))); err != nil {
		return false
	}
	if _, err := w.Write(f.Data); err != nil {
		return false
	}
	return w.Close() == nil
}

// bye closes with a code and a sentence (at most 123 bytes, RFC 6455, 5.5).
func bye(ws *websocket.Conn, code protocol.CloseCode, text string) {
	_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(int(code), text[:min(len(text), 123)]), time.Now().Add(time.Second))
}
