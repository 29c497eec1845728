// Package firefox drives one real Firefox for the end-to-end tests through WebDriver BiDi, which Firefox speaks by
// itself on a WebSocket. Pages are found, read and clicked by role and accessible name, as in package browser.
package firefox

// The protocol (https://w3c.github.io/webdriver-bidi/): commands with a number, answers with the same number, events
// without one.

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	answerWithin = 45 * time.Second
	logLines     = 200
)

// connection is one BiDi session. Safe for concurrent use.
type connection struct {
	ws *websocket.Conn

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
	log     []string
	err     error // why it ended
}

type answer struct {
	Type    string          `json:"type"`
	ID      int             `json:"id"`
	Result  json.RawMessage `json:"result"`
	Error   string          `json:"error"`
	Message string          `json:"message"`
	Method  string          `json:"method"`
	Params  json.RawMessage `json:"params"`
}

func dial(address string) (*connection, error) {
	ws, _, err := websocket.DefaultDialer.Dial(address, nil)
	if err != nil {
		return nil, fmt.Errorf("connect to Firefox at %s: %w", address, err)
	}
	c := &connection{ws: ws, waiting: map[int]chan answer{}}
	go c.read()
	return c, nil
}

func (c *connection) close() { _ = c.ws.Close() } // the browser ends with it

func (c *connection) read() {
	for {
		var a answer
		if err := c.ws.ReadJSON(&a); err != nil {
			c.mu.Lock()
			c.err = fmt.Errorf("the connection to Firefox ended: %w", err)
			for id, wait := range c.waiting {
				close(wait)
				delete(c.waiting, id)
			}
			c.mu.Unlock()
			return
		}
		c.mu.Lock()
		if wait := c.waiting[a.ID]; wait != nil && a.Type != "event" {
			delete(c.waiting, a.ID)
			wait <- a
		} else if a.Method == "log.entryAdded" {
			c.logged(a.Params)
		}
		c.mu.Unlock()
	}
}

// logged keeps what a page said on its console, its errors included.
func (c *connection) logged(params json.RawMessage) {
	var entry struct{ Level, Text string }
	if json.Unmarshal(params, &entry) == nil && len(c.log) < logLines {
		c.log = append(c.log, entry.Level+": "+entry.Text)
	}
}

// lines are the console's lines so far.
func (c *connection) lines() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.log...)
}

// call sends a command and decodes its result; out may be nil.
func (c *connection) call(method string, params map[string]any, out any) error {
	wait := make(chan answer, 1)
	c.mu.Lock()
	if c.err != nil {
		defer c.mu.Unlock()
		return c.err
	}
	c.next++
	id := c.next
	c.waiting[id] = wait
	err := c.ws.WriteJSON(map[string]any{"id": id, "method": method, "params": params})
	c.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	timer := time.NewTimer(answerWithin)
	defer timer.Stop()
	select {
	case a, ok := <-wait:
		switch {
		case !ok:
			return fmt.Errorf("%s: %w", method, c.err)
		case a.Type == "error":
			return fmt.Errorf("%s: %s: %s", method, a.Error, a.Message)
		case out == nil:
			return nil
		}
		return json.Unmarshal(a.Result, out)
	case <-timer.C:
		return fmt.Errorf("%s: %w", method, errors.New("no answer"))
	}
}
