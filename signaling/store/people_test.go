// Customers, agents, devices, invites; peer sessions, audit log and settings.

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCustomer(t *testing.T) {
	s, _ := fresh(t)
	var wg sync.WaitGroup
	ids := make([]string, 20)
	for i := range ids {
		wg.Go(func() { ids[i] = newCustomer(t, s, "k").ID })
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] || len(id) != 26 || id != strings.ToLower(id) {
			t.Fatalf("ids %v", ids)
		}
	}
	_, err := do(t, func(d func(Customer, error)) error { return s.EnsureCustomer("k", "p256", []byte("other"), d) })
	wantErr(t, err, ErrConflict)
	_, err = do(t, func(d func(Customer, error)) error { return s.EnsureCustomer("", "p256", nil, d) })
	wantErr(t, err, ErrInvalid)
	byID, err := s.Customer(t.Context(), ids[0])
	if err != nil || string(byID.Pub) != "pub k" || byID.Generation != 1 || byID.Kind != "p256" {
		t.Fatalf("got %+v, %v", byID, err)
	}
	byKey, err := s.CustomerByThumbprint(t.Context(), "k")
	if err != nil || byKey.ID != byID.ID {
		t.Fatalf("got %+v, %v", byKey, err)
	}
	_, err = s.Customer(t.Context(), "none")
	wantErr(t, err, ErrNotFound)
	_, err = do(t, func(d func(Opened, error)) error { return s.OpenConversation("none", d) })
	wantErr(t, err, ErrNotFound)
}

func redeem(t *testing.T, s *Store, token, key string) (Redeemed, error) {
	return do(t, func(d func(Redeemed, error)) error { return s.RedeemInvite(token, []byte(key), "laptop", d) })
}

// TestInviteOnce is security T05: one invite, 100 redeemers, one agent.
func TestInviteOnce(t *testing.T) {
	s, _ := fresh(t)
	token := must(t, func(d func(string, error)) error { return s.CreateInvite("Ana", RoleAdmin, 0, d) })
	var mu sync.Mutex
	var won []Redeemed
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			r, err := redeem(t, s, token, fmt.Sprint("key ", i))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, r)
			} else if !errors.Is(err, ErrInviteUsed) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	agents, err := s.Agents(t.Context())
	if err != nil || len(won) != 1 || len(agents) != 1 || agents[0] != won[0].Agent {
		t.Fatalf("%d winners, %d agents, %v", len(won), len(agents), err)
	}
	d, a, err := s.DeviceByPub(t.Context(), won[0].Device.Pub)
	if err != nil || a != won[0].Agent || d.ID != won[0].Device.ID || d.Label != "laptop" || a.Role != RoleAdmin || a.Name != "Ana" {
		t.Fatalf("got %+v %+v, %v", d, a, err)
	}
}

func TestInvites(t *testing.T) {
	clk := newClock()
	dir := private(t)
	s, stop := run(t, Options{Dir: dir, Clock: clk.Now})
	has := func(agents, open bool) {
		t.Helper()
		a, err1 := s.HasAgents(t.Context())
		o, err2 := s.HasOpenInvite(t.Context())
		if err1 != nil || err2 != nil || a != agents || o != open {
			t.Fatalf("agents %v, open invite %v, %v %v", a, o, err1, err2)
		}
	}
	has(false, false)
	create := func(name string, role Role, ttl time.Duration) (string, error) {
		return do(t, func(d func(string, error)) error { return s.CreateInvite(name, role, ttl, d) })
	}
	_, err := create("Ana", "boss", 0)
	wantErr(t, err, ErrInvalid)
	_, err = create(" ", RoleLead, 0)
	wantErr(t, err, ErrInvalid)
	token, err := create("Ana", RoleLead, 1000*time.Hour) // cut to 24 h
	if err != nil {
		t.Fatal(err)
	}
	has(false, true)
	clk.add(InviteTTL)
	has(false, false)
	_, err = redeem(t, s, token, "key")
	wantErr(t, err, ErrInviteExpired)
	_, err = redeem(t, s, "wrong", "key")
	wantErr(t, err, ErrInviteUnknown)

	token, err = create("Ana", RoleLead, 0)
	if err != nil {
		t.Fatal(err)
	}
	clk.add(InviteTTL - time.Millisecond)
	_, err = redeem(t, s, token, "")
	wantErr(t, err, ErrInvalid)
	r, err := redeem(t, s, " "+strings.ToUpper(token)+"\n", "key") // as a person pastes it
	if err != nil {
		t.Fatal(err)
	}
	has(true, false)
	clk.add(time.Hour)
	_, err = redeem(t, s, token, "key 2")
	wantErr(t, err, ErrInviteUsed) // told apart from expired, also later

	// A key that is known does not use the invite up.
	second, err := create("Bo", RoleAgent, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = redeem(t, s, second, "key")
	wantErr(t, err, ErrConflict)
	if agents, err := s.Agents(t.Context()); err != nil || len(agents) != 1 {
		t.Fatalf("a failed redeem left an agent: %+v, %v", agents, err)
	}
	if _, err := redeem(t, s, second, "key 2"); err != nil {
		t.Fatal(err)
	}

	must(t, func(d func(struct{}, error)) error { return s.TouchDevice(r.Device.ID, d) })
	devices, err := s.Devices(t.Context(), r.Agent.ID)
	if err != nil || len(devices) != 1 || !devices[0].LastSeen.Equal(clk.Now()) {
		t.Fatalf("got %+v, %v", devices, err)
	}
	stop()
	for _, name := range []string{dbName, dbName + "-wal"} {
		data, err := os.ReadFile(dir + "/" + name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if strings.Contains(strings.ToLower(string(data)), token) {
			t.Fatalf("%s holds the token", name)
		}
	}
}

func TestRevoke(t *testing.T) {
	s, _ := fresh(t)
	ana, bo := newAgent(t, s, "Ana", RoleAgent), newAgent(t, s, "Bo", RoleAgent)
	_, c := newConversation(t, s, "k")
	if _, err := claim(t, s, c.ID, ana.Agent.ID, nil); err != nil {
		t.Fatal(err)
	}
	ids := must(t, func(d func([]string, error)) error { return s.RevokeAgent(ana.Agent.ID, d) })
	if fmt.Sprint(ids) != "["+c.ID+"]" {
		t.Fatalf("released %v", ids)
	}
	_, a, err := s.DeviceByPub(t.Context(), ana.Device.Pub)
	wantErr(t, err, ErrRevoked)
	if a.Generation != 2 {
		t.Fatalf("generation %d", a.Generation)
	}
	_, err = claim(t, s, c.ID, ana.Agent.ID, nil)
	wantErr(t, err, ErrRevoked)
	_, err = say(t, s, fromAgent(c, ana.Agent, "1"))
	wantErr(t, err, ErrNotOwner)
	must(t, func(d func(struct{}, error)) error { return s.RevokeDevice(bo.Device.ID, d) })
	_, _, err = s.DeviceByPub(t.Context(), bo.Device.Pub)
	wantErr(t, err, ErrRevoked)
	_, _, err = s.DeviceByPub(t.Context(), []byte("unknown"))
	wantErr(t, err, ErrNotFound)
	_, err = do(t, func(d func([]string, error)) error { return s.RevokeAgent("none", d) })
	wantErr(t, err, ErrNotFound)
}

func TestSessions(t *testing.T) {
	clk := newClock()
	dir := private(t)
	s, stop := run(t, Options{Dir: dir, Clock: clk.Now})
	ana := newAgent(t, s, "Ana", RoleAgent)
	bo := newAgent(t, s, "Bo", RoleAgent)
	cust, c := newConversation(t, s, "k")
	create := func(in Session) (Session, error) {
		return do(t, func(d func(Session, error)) error { return s.CreateSession(in, d) })
	}
	in := Session{Conversation: c.ID, AgentID: ana.Agent.ID, AgentDevice: ana.Device.ID, Picture: true,
		RequestedBy: KindAgent, RelayUser: "u1", RelaySecret: "secret one"}
	_, err := create(in)
	wantErr(t, err, ErrNotOwner) // it waits
	if _, err := claim(t, s, c.ID, ana.Agent.ID, nil); err != nil {
		t.Fatal(err)
	}
	foreign := in
	foreign.AgentID = bo.Agent.ID
	_, err = create(foreign)
	wantErr(t, err, ErrNotOwner)
	made, err := create(in)
	if err != nil || made.State != Requested || made.CustomerID != cust.ID || made.ID == "" {
		t.Fatalf("got %+v, %v", made, err)
	}
	other := in
	other.RelayUser = "u2"
	_, err = create(other)
	wantErr(t, err, ErrConflict) // one live session a conversation

	step := func(u SessionUpdate) (Session, error) {
		return do(t, func(d func(Session, error)) error { return s.UpdateSession(made.ID, u, d) })
	}
	device, path, user := "thumb", "direct", "u3"
	_, err = step(SessionUpdate{From: []SessionState{Connecting}, To: Connected})
	wantErr(t, err, ErrConflict)
	_, err = step(SessionUpdate{To: Connected})
	wantErr(t, err, ErrInvalid)
	_, err = step(SessionUpdate{From: []SessionState{Ended}, To: Connected})
	wantErr(t, err, ErrInvalid)
	got, err := step(SessionUpdate{From: []SessionState{Requested}, To: Connecting, CustomerDevice: &device})
	if err != nil || got.State != Connecting || got.CustomerDevice != device || got.RelayUser != "u1" || !got.Picture {
		t.Fatalf("got %+v, %v", got, err)
	}
	stop() // a restarted server still knows it
	s, _ = run(t, Options{Dir: dir, Clock: clk.Now})
	live, err := s.LiveSession(t.Context(), c.ID)
	if err != nil || live != got {
		t.Fatalf("got %+v, %v; want %+v", live, err, got)
	}
	all, err := s.LiveSessions(t.Context())
	if err != nil || len(all) != 1 || all[0] != got {
		t.Fatalf("got %+v, %v", all, err)
	}
	got, err = step(SessionUpdate{From: []SessionState{Connecting, Reconnecting}, To: Connected, Path: &path, RelayUser: &user})
	if err != nil || got.State != Connected || got.Path != path || got.RelayUser != "u3" || got.RelaySecret != "secret one" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if by, err := s.SessionByRelayUser(t.Context(), "u3"); err != nil || by != got {
		t.Fatalf("got %+v, %v", by, err)
	}
	_, err = s.SessionByRelayUser(t.Context(), "u1")
	wantErr(t, err, ErrNotFound)
	if strings.Contains(fmt.Sprint(got), "secret") || strings.Contains(fmt.Sprintf("%+v", got), "secret") {
		t.Fatal("printing a session shows the secret")
	}

	lost := "lost"
	got, err = step(SessionUpdate{From: []SessionState{Connected}, To: Ended, Reason: &lost})
	if err != nil || got.State != Ended || got.Reason != lost || !got.EndedAt.Equal(clk.Now()) || got.RelayUser+got.RelaySecret != "" {
		t.Fatalf("got %+v, %v", got, err)
	}
	_, err = s.SessionByRelayUser(t.Context(), "u3")
	wantErr(t, err, ErrNotFound)
	_, err = s.LiveSession(t.Context(), c.ID)
	wantErr(t, err, ErrNotFound)
	_, err = step(SessionUpdate{From: []SessionState{Connected}, To: Reconnecting})
	wantErr(t, err, ErrConflict)
	if _, err := create(other); err != nil {
		t.Fatalf("a new session after the end: %v", err)
	}
	if old, err := s.Session(t.Context(), made.ID); err != nil || old != got {
		t.Fatalf("got %+v, %v", old, err)
	}
	_, err = s.Session(t.Context(), "none")
	wantErr(t, err, ErrNotFound)
}

func TestAudit(t *testing.T) {
	s, clk := fresh(t)
	for i := range 3 {
		e := must(t, func(d func(Entry, error)) error {
			return s.Audit(Entry{Conversation: "c", Kind: "conversation.claim", Actor: Actor{KindAgent, "a"},
				Body: json.RawMessage(fmt.Sprintf(`{"n":%d}`, i))}, d)
		})
		if e.ID != int64(i+1) || !e.At.Equal(clk.Now()) {
			t.Fatalf("got %+v", e)
		}
	}
	_, err := do(t, func(d func(Entry, error)) error {
		return s.Audit(Entry{Kind: "x", Actor: Actor{KindSystem, ""}, Body: json.RawMessage("{")}, d)
	})
	wantErr(t, err, ErrInvalid)
	for _, text := range []string{"UPDATE audit SET kind = 'x'", "DELETE FROM audit", "DELETE FROM audit WHERE id = 1",
		"REPLACE INTO audit (id, at, conversation, kind, actor_kind, actor_id, body) VALUES (1, 1, '', '', '', '', '')"} {
		_, err := do(t, func(d func(int64, error)) error {
			return submit(s, func(tx *tx) (int64, error) { return tx.exec(text) }, d)
		})
		wantErr(t, err, ErrConflict)
	}
	log, err := s.AuditLog(t.Context(), "c", 1, 10)
	if err != nil || len(log) != 2 || string(log[1].Body) != `{"n":2}` || log[0].Actor != (Actor{KindAgent, "a"}) {
		t.Fatalf("got %+v, %v", log, err)
	}
	if log, err = s.AuditLog(t.Context(), "other", 0, 10); err != nil || len(log) != 0 {
		t.Fatalf("got %+v, %v", log, err)
	}
}

func TestSettings(t *testing.T) {
	s, _ := fresh(t)
	_, err := s.Setting(t.Context(), "a")
	wantErr(t, err, ErrNotFound)
	for _, v := range []string{"1", "2"} {
		must(t, func(d func(struct{}, error)) error { return s.SetSetting("a", v, d) })
		if got, err := s.Setting(t.Context(), "a"); err != nil || got != v {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}
