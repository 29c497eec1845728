// Command rtpref is the reference for the picture: a tab that a browser sends as an ordinary RTP track, received by
// pion behind a bad network and passed on to a second browser over the machine's own network.
//
//	rtpref ADDRESS
//
// serves on ADDRESS (127.0.0.1:PORT): /?codec=AV1, a page that captures and sends at a click; /watch?codec=AV1, the page
// that shows it, opened before; /line, the line's controller (impair.Remote). Codecs: AV1, H264, VP9, VP8. The receiver has
// pion's default interceptors (NACK, TWCC, reports) and passes the viewer's requests for key frames on.
package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtcp"
	"github.com/pion/transport/v5"
	"github.com/pion/webrtc/v4"

	"github.com/lookalong/lookalong/e2e/impair"
)

//go:embed send.html
var sendPage string

//go:embed watch.html
var watchPage string

// codecs by their names in the pages' addresses.
var codecs = map[string]webrtc.RTPCodecCapability{
	"AV1":  {MimeType: webrtc.MimeTypeAV1, ClockRate: 90000},
	"H264": {MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"},
	"VP9":  {MimeType: webrtc.MimeTypeVP9, ClockRate: 90000, SDPFmtpLine: "profile-id=0"},
	"VP8":  {MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
}

// session is one picture: the viewer's connection, then the sender's.
type session struct {
	track         *webrtc.TrackLocalStaticRTP
	watch, source *webrtc.PeerConnection

	mu   sync.Mutex
	ssrc webrtc.SSRC // of the sender's track; 0: not there yet
}

func (s *session) close() {
	for _, pc := range []*webrtc.PeerConnection{s.watch, s.source} {
		if pc != nil {
			_ = pc.Close() // the page may have closed it
		}
	}
}

// askKey passes a request for a key frame on to the sender.
func (s *session) askKey() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ssrc != 0 {
		_ = s.source.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: uint32(s.ssrc)}}) // the viewer asks again
	}
}

// server has one session at a time.
type server struct {
	line transport.Net // bad

	mu  sync.Mutex
	now *session
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: rtpref ADDRESS")
		os.Exit(2)
	}
	network := impair.New(1)
	line, err := network.Net()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s := &server{line: line}
	mux := http.NewServeMux()
	mux.Handle("/line", network)
	mux.HandleFunc("GET /{$}", page(sendPage))
	mux.HandleFunc("GET /watch", page(watchPage))
	mux.HandleFunc("POST /watch", s.handle(s.startWatch))
	mux.HandleFunc("POST /send", s.handle(s.startSend))
	srv := &http.Server{Addr: os.Args[1], Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	fmt.Fprintln(os.Stderr, srv.ListenAndServe())
	os.Exit(1)
}

func page(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, body) // the browser may be gone
	}
}

// handle takes an offer and gives the answer to it.
func (s *server) handle(start func(codec string, offer webrtc.SessionDescription) (*webrtc.PeerConnection, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var offer webrtc.SessionDescription
		err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&offer)
		var pc *webrtc.PeerConnection
		if err == nil {
			pc, err = start(r.URL.Query().Get("codec"), offer)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(pc.LocalDescription()) // the browser may be gone
	}
}

// newPeer makes a connection with pion's defaults; network nil is the machine's own.
func newPeer(network transport.Net) (*webrtc.PeerConnection, error) {
	media, registry := &webrtc.MediaEngine{}, &interceptor.Registry{}
	if err := errors.Join(media.RegisterDefaultCodecs(), webrtc.RegisterDefaultInterceptors(media, registry)); err != nil {
		return nil, err
	}
	var settings webrtc.SettingEngine
	settings.SetIncludeLoopbackCandidate(true)
	settings.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	if network != nil {
		settings.SetNet(network)
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry), webrtc.WithSettingEngine(settings))
	return api.NewPeerConnection(webrtc.Configuration{})
}

// answer answers an offer with all of this end's candidates.
func answer(pc *webrtc.PeerConnection, offer webrtc.SessionDescription) error {
	if err := pc.SetRemoteDescription(offer); err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	a, err := pc.CreateAnswer(nil)
	if err != nil {
		return err
	}
	if err := pc.SetLocalDescription(a); err != nil {
		return err
	}
	<-gathered
	return nil
}

// startWatch begins a session with its viewer.
func (s *server) startWatch(codec string, offer webrtc.SessionDescription) (*webrtc.PeerConnection, error) {
	if s.now != nil {
		s.now.close()
	}
	s.now = nil
	capability, ok := codecs[codec]
	if !ok {
		return nil, fmt.Errorf("no codec %q", codec)
	}
	track, err := webrtc.NewTrackLocalStaticRTP(capability, "video", "screen")
	if err != nil {
		return nil, err
	}
	pc, err := newPeer(nil)
	if err != nil {
		return nil, err
	}
	session := &session{track: track, watch: pc}
	sender, err := pc.AddTrack(track)
	if err == nil {
		err = answer(pc, offer)
	}
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	go func() { // ends with the connection
		for {
			packets, _, err := sender.ReadRTCP()
			if err != nil {
				return
			}
			for _, p := range packets {
				switch p.(type) {
				case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
					session.askKey()
				}
			}
		}
	}()
	s.now = session
	return pc, nil
}

// startSend gives the session its picture.
func (s *server) startSend(_ string, offer webrtc.SessionDescription) (*webrtc.PeerConnection, error) {
	session := s.now
	if session == nil || session.source != nil {
		return nil, errors.New("no viewer waits for a picture")
	}
	pc, err := newPeer(s.line)
	if err != nil {
		return nil, err
	}
	session.source = pc
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		session.mu.Lock()
		session.ssrc = track.SSRC()
		session.mu.Unlock()
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			p.Extension, p.Extensions = false, nil // their numbers are those of the other connection
			_ = session.track.WriteRTP(p)          // the viewer may be gone
		}
	})
	return pc, answer(pc, offer)
}
