// Kill -9 in mid-load: what was acknowledged is there, once.

package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const childConversations = 20

// childMain is the server that gets killed: it appends without end and prints
// each acknowledgement once it has it. It never returns.
func childMain(dir string) {
	s, err := Open(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	go func() {
		fmt.Println("error Run returned", s.Run(context.Background()))
		os.Exit(1)
	}()
	run := os.Getenv("LOOKALONG_STORE_RUN")
	lines := make(chan string, 2*QueueLen) // more than can be under way: done never waits
	for i := range childConversations {
		go func() {
			cust, err := Sync(context.Background(), func(d func(Customer, error)) error {
				return s.EnsureCustomer(fmt.Sprint("k", i), "p256", []byte(fmt.Sprint("p", i)), d)
			})
			if err != nil {
				lines <- "error " + err.Error()
				return
			}
			c, err := Sync(context.Background(), func(d func(Opened, error)) error { return s.OpenConversation(cust.ID, d) })
			if err != nil {
				lines <- "error " + err.Error()
				return
			}
			for n := 0; ; n++ {
				m := fromCustomer(c.Conversation, run+"-"+fmt.Sprint(n))
				ack, err := Sync(context.Background(), func(d func(Appended, error)) error { return s.Append(m, d) })
				if err != nil {
					lines <- "error " + err.Error()
					return
				}
				lines <- fmt.Sprintln(c.ID, cust.ID, m.ID, ack.Seq)
			}
		}()
	}
	for line := range lines {
		_, _ = os.Stdout.WriteString(line) // unbuffered: printed means acknowledged
	}
}

type acked struct {
	conversation, customer, id string
	seq                        int64
}

// killAfter runs the child and kills it once it printed that many acknowledgements.
func killAfter(t *testing.T, dir string, run, n int) (acks []acked) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), "LOOKALONG_STORE_CHILD="+dir, fmt.Sprint("LOOKALONG_STORE_RUN=", run))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil { // the pipe is empty after the kill
			break
		}
		if strings.HasPrefix(line, "error") {
			t.Errorf("child: %s", line)
			break
		}
		var a acked
		if _, err := fmt.Sscan(line, &a.conversation, &a.customer, &a.id, &a.seq); err != nil {
			t.Errorf("child printed %q", line)
			break
		}
		if acks = append(acks, a); len(acks) == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Process.Kill() // if the loop ended early
	_ = cmd.Wait()         // "signal: killed" is what we did
	return acks
}

func TestKill(t *testing.T) {
	dir := private(t)
	var all []acked
	for round := range 10 {
		acks := killAfter(t, dir, round, 150+37*round)
		if t.Failed() || len(acks) == 0 {
			t.Fatalf("round %d: %d acknowledgements", round, len(acks))
		}
		all = append(all, acks...)

		s, stop := run(t, Options{Dir: dir})
		stored := map[string]map[int64]string{} // conversation -> seq -> id
		for _, a := range all {
			if stored[a.conversation] == nil {
				c, err := s.Conversation(t.Context(), a.conversation)
				if err != nil {
					t.Fatal(err)
				}
				wantDense(t, s, a.conversation, int(c.LastSeq)) // none doubled, no hole
				stored[a.conversation] = idsOf(t, s, a.conversation)
			}
			if got := stored[a.conversation][a.seq]; got != a.id { // none lost, none renumbered
				t.Fatalf("round %d: %+v was acknowledged, there is %q", round, a, got)
			}
		}
		for _, a := range acks[len(acks)-20:] { // and a resend gets the same answer
			got, err := say(t, s, fromCustomer(Conversation{ID: a.conversation, CustomerID: a.customer}, a.id))
			if err != nil || !got.Duplicate || got.Seq != a.seq {
				t.Fatalf("round %d: %+v was acknowledged, now %+v, %v", round, a, got, err)
			}
		}
		if ok, err := intact(s); err != nil || ok != "ok" {
			t.Fatalf("integrity check: %s, %v", ok, err)
		}
		stop()
	}
	t.Logf("%d acknowledgements over 10 kills", len(all))
}

func idsOf(t *testing.T, s *Store, conversation string) map[int64]string {
	t.Helper()
	ids, after := map[int64]string{}, int64(0)
	for {
		list, err := s.Messages(t.Context(), conversation, Range{After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return ids
		}
		for _, m := range list {
			ids[m.Seq], after = m.ID, m.Seq
		}
	}
}

func intact(s *Store) (string, error) {
	return first(s.reader(context.Background()), scanOne[string], "check", "PRAGMA integrity_check")
}
