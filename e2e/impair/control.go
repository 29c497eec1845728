package impair

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// State is what a line's controller reports.
type State struct {
	Out Counts `json:"out"` // out of the program
	In  Counts `json:"in"`
}

// ServeHTTP is the controller of a line in another process: PUT Conditions, GET State.
func (n *Network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPut:
		var c Conditions
		err := json.NewDecoder(io.LimitReader(r.Body, 4096)).Decode(&c)
		if err == nil {
			err = n.Set(c)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	case http.MethodGet:
		var s State
		s.Out, s.In = n.Counts()
		_ = json.NewEncoder(w).Encode(s) // whoever asked may be gone
	default:
		http.Error(w, "GET or PUT", http.StatusMethodNotAllowed)
	}
}

// Remote is the line of another process, by the address of its controller (http://127.0.0.1:PORT).
type Remote string

// Set changes the line.
func (r Remote) Set(c Conditions) error {
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPut, string(r), bytes.NewReader(body))
	if err != nil {
		return err
	}
	return r.do(req, nil)
}

// State asks for the counts.
func (r Remote) State() (s State, err error) {
	req, err := http.NewRequest(http.MethodGet, string(r), nil)
	if err != nil {
		return s, err
	}
	return s, r.do(req, &s)
}

func (r Remote) do(req *http.Request, answer any) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024)) // the status says enough
		return fmt.Errorf("impair: %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}
