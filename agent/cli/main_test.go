package cli

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/protocol"
	"github.com/lookalong/lookalong/signaling/servertest"
)

// TestMain lets scripts run the program: the test binary plays it.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"lookalong": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(Main(ctx, os.Args[1:], term.System()))
		},
	})
}

// world is what a script plays with: a real server and scripted customers.
type world struct {
	server    *servertest.Server
	customers map[string]*visitor
}

// visitor is one scripted customer.
type visitor struct {
	key  servertest.Key
	conn *servertest.Conn
	conv protocol.ConversationID
}

type worldKey struct{}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			w := &world{server: servertest.New(env.T().(testing.TB)), customers: map[string]*visitor{}}
			env.Values[worldKey{}] = w
			env.Setenv("SERVER", w.server.URL())
			env.Setenv("LOOKALONG_HOME", filepath.Join(env.WorkDir, "home"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"invite":   cmdInvite,
			"signin":   cmdSignIn,
			"customer": cmdCustomer,
			"server":   cmdServer,
			"exits":    cmdExits,
			"link":     cmdLink,
			"owneronly": func(ts *testscript.TestScript, neg bool, args []string) {
				info, err := os.Stat(ts.MkAbs(args[0]))
				ts.Check(err)
				if info.Mode().Perm()&0o077 != 0 {
					ts.Fatalf("%s has mode %v", args[0], info.Mode())
				}
			},
		},
	})
}

func theWorld(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

// invite FILE NAME [ROLE] writes an invite.
func cmdInvite(ts *testscript.TestScript, neg bool, args []string) {
	role := "agent"
	if len(args) > 2 {
		role = args[2]
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(theWorld(ts).server.Invite(args[1], role)+"\n"), 0o600))
}

// signin NAME [HOME] signs a new agent in, at $LOOKALONG_HOME or another home, which it switches to.
func cmdSignIn(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) > 1 {
		ts.Setenv("LOOKALONG_HOME", ts.MkAbs(args[1]))
	}
	w := theWorld(ts)
	cmd := exec.Command(os.Args[0])
	cmd.Args = []string{"lookalong", "login", w.server.URL()}
	cmd.Env = []string{"LOOKALONG_HOME=" + ts.Getenv("LOOKALONG_HOME")}
	cmd.Stdin = strings.NewReader(w.server.Invite(args[0], "agent") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("login: %v\n%s", err, out)
	}
}

// exits CODE COMMAND… runs a command that must end with this exit code.
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := err.(*exec.ExitError)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// server stop|start
func cmdServer(ts *testscript.TestScript, neg bool, args []string) {
	if args[0] == "stop" {
		theWorld(ts).server.Stop()
	} else {
		theWorld(ts).server.Start()
	}
}

func cmdLink(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(os.Symlink(ts.MkAbs(args[1]), ts.MkAbs(args[0])))
}

// customer NAME VERB [ARG]: arrive (opens a conversation; its id is in $NAME and short in ${NAME}6), say TEXT,
// page TITLE, want TEXT (waits for the agent's message), team N (waits until N agents are
// there), read N (waits until the agent has read up to N), gone (hangs up), decline (an agent's request), and claimed,
// released, closed (wait for that state).
func cmdCustomer(ts *testscript.TestScript, neg bool, args []string) {
	w := theWorld(ts)
	name, verb, text := args[0], args[1], strings.Join(args[2:], " ")
	text = strings.NewReplacer(`\e`, "\x1b", `\a`, "\a", `\n`, "\n", `\u009b`, "\u009b", `\u202e`, "\u202e").Replace(text)
	v := w.customers[name]
	if v == nil {
		v = &visitor{key: servertest.NewCustomerKey()}
		w.customers[name] = v
	}
	if v.conn == nil {
		v.conn = w.server.Customer(v.key)
	}
	c := v.conn
	switch verb {
	case "arrive":
		v.conv = c.Conversation().Conversation
		ts.Setenv(name, string(v.conv))
		ts.Setenv(name+"6", string(v.conv[:6]))
	case "say":
		c.Say(v.conv, text)
	case "page":
		c.Send(protocol.PresencePage{Page: protocol.Page{Title: text, URL: "https://shop.example/x", Active: true}})
		id := c.ID()
		c.Send(protocol.Ping{ID: id}) // the server has handled the page when it answers
		servertest.Want(c, func(m protocol.Pong) bool { return m.ID == id })
	case "want":
		servertest.Want(c, func(m protocol.ChatMessage) bool { return m.Text == text })
	case "claimed":
		servertest.Want(c, func(m protocol.ConversationState) bool { return m.State == "claimed" })
	case "released":
		servertest.Want(c, func(m protocol.ConversationState) bool { return m.State == "waiting" && m.Agent == nil })
	case "closed":
		servertest.Want(c, func(m protocol.ConversationState) bool { return m.State == "closed" })
	case "team":
		n, err := strconv.Atoi(text)
		ts.Check(err)
		servertest.Want(c, func(m protocol.PresenceTeam) bool { return m.Available == n })
	case "read":
		n, err := strconv.ParseInt(text, 10, 64)
		ts.Check(err)
		servertest.Want(c, func(m protocol.ChatMarks) bool { return m.Marks.AgentRead >= n })
	case "gone":
		c.Close()
		v.conn = nil
	case "decline":
		s := servertest.Want(c, func(m protocol.SessionState) bool { return m.State == "requested" && m.By == "agent" })
		c.Send(protocol.SessionDecline{ID: c.ID(), Session: s.Session})
	default:
		ts.Fatalf("customer can't %s", verb)
	}
}

// signedIn makes an agent's home in the environment.
func signedIn(t *testing.T, s *servertest.Server, name string) {
	t.Helper()
	t.Setenv("LOOKALONG_HOME", filepath.Join(t.TempDir(), "home"))
	in, _, errs := term.Test(s.Invite(name, "agent") + "\n")
	if code := Main(context.Background(), []string{"login", s.URL()}, in); code != 0 {
		t.Fatalf("login: %s", errs)
	}
}
