package workload_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lookalong/lookalong/internal/fault/workload"
	"github.com/lookalong/lookalong/signaling/servertest"
	"github.com/lookalong/lookalong/signaling/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func patience(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), servertest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// forged is a store that answers with one thing changed.
type forged struct {
	workload.Reader
	change func([]store.Message) []store.Message
}

func (f forged) Messages(ctx context.Context, conv string, r store.Range) ([]store.Message, error) {
	all, err := f.Reader.Messages(ctx, conv, store.Range{})
	all = f.change(slices.Clone(all))
	return slices.DeleteFunc(all, func(m store.Message) bool { return m.Seq <= r.After }), err
}

// TestCheck: an undisturbed play has no breach; each thing that could go wrong in the store is found.
func TestCheck(t *testing.T) {
	s := servertest.New(t)
	w, err := workload.Start(workload.Config{
		URL: s.URL(), Customers: 4, Invites: []string{s.Invite("Ana", "agent"), s.Invite("Ben", "agent")},
		CustomerEvery: 20 * time.Millisecond, AgentEvery: 20 * time.Millisecond, Seed: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WaitAcked(patience(t), 120); err != nil {
		t.Fatal(err)
	}
	if err := w.Settle(patience(t)); err != nil {
		t.Fatal(err)
	}
	w.End()
	s.Stop()
	st, err := store.OpenShared(t.Context(), store.Options{Dir: s.Dir + "/data"})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	check := func(r workload.Reader) workload.Report {
		t.Helper()
		report, err := w.Check(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return report
	}
	if report := check(st); len(report.Wrong) > 0 || report.Conversations != 4 || report.Acked < 120 || report.Stored != report.Acked {
		t.Fatal(report)
	}
	for name, mutant := range map[string]struct {
		change func([]store.Message) []store.Message
		want   string
	}{
		"the last one lost":      {func(m []store.Message) []store.Message { return m[:len(m)-1] }, "is lost"},
		"one in the middle lost": {func(m []store.Message) []store.Message { return slices.Delete(m, 3, 4) }, "is where"},
		"one doubled": {func(m []store.Message) []store.Message {
			again := m[2]
			again.Seq = int64(len(m) + 1)
			return append(m, again)
		}, "is stored 2 times"},
		"two swapped": {func(m []store.Message) []store.Message {
			m[1].ID, m[2].ID, m[1].Text, m[2].Text = m[2].ID, m[1].ID, m[2].Text, m[1].Text
			return m
		}, "is stored as"},
		"a text changed": {func(m []store.Message) []store.Message { m[4].Text += "!"; return m }, "is stored as"},
		"one of nobody": {func(m []store.Message) []store.Message {
			return append(m, store.Message{Conversation: m[0].Conversation, Seq: int64(len(m) + 1), ID: "x", SenderKind: store.KindCustomer})
		}, "written by nobody"},
	} {
		if report := check(forged{st, mutant.change}); !strings.Contains(fmt.Sprint(report.Wrong), mutant.want) {
			t.Errorf("%s: %q is not among the breaches: %s", name, mutant.want, report)
		}
	}
}
