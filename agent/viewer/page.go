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
	ws     *websocket.Conn
	reader *Reader
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

	p := &page{ws: ws, reader: s.queue.Join()}
	defer s.queue.Leave(p.reader)
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
			s.cfg.OnPainted(m.Frame, m.AtMs)
		case protocol.ViewerKeyframe:
			s.queue.Lose(p.reader)
		}
	}
}

// writePage is the only writer of data: the welcome, then state and configuration as they change, then frames in
// order. Frames wait until the page knows what they are.
func (s *Server) writePage(ctx context.Context, p *page, token string) {
	defer p.ws.Close()
	put := func(kind int, data []byte) bool {
		_ = p.ws.SetWriteDeadline(time.Now().Add(writeTimeout))
		return p.ws.WriteMessage(kind, data) == nil
	}
	if !put(websocket.TextMessage, protocol.Encode(protocol.ViewerWelcome{Token: token})) {
		return
	}
	sentConfig, sentState := 0, -1
	for {
		s.mu.Lock()
		config, configNo, state, stateNo := s.config, s.configNo, s.state, s.stateNo
		s.mu.Unlock()
		if stateNo != sentState {
			sentState = stateNo
			if !put(websocket.TextMessage, protocol.Encode(state)) {
				return
			}
		}
		if config != nil && configNo != sentConfig {
			sentConfig = configNo
			if !put(websocket.TextMessage, protocol.Encode(*config)) {
				return
			}
		}
		if config != nil {
			if f := s.queue.Take(p.reader); f != nil {
				if !p.putFrame(f) {
					return
				}
				continue
			}
		}
		select {
		case <-p.reader.Wake:
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
