// The guard on a file system that really fills up: a tmpfs in a namespace of its
// own, with the store in a process inside.

//go:build linux

package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lookalong/lookalong/internal/fault"
)

func init() { children["LOOKALONG_SPACE_CHILD"] = spaceChild }

// spaceChild is the store inside. It answers one line for each line.
func spaceChild(dir string) {
	num := func(name string) int64 {
		n, _ := strconv.ParseInt(os.Getenv(name), 10, 64)
		return n
	}
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir, StopNewBelow: num("STOP_NEW"), ReadOnlyBelow: num("READ_ONLY")})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	word := func(err error) string {
		for name, kind := range map[string]error{"full": ErrFull, "readonly": ErrReadOnly, "low": ErrLowSpace} {
			if errors.Is(err, kind) {
				return name
			}
		}
		if err != nil {
			return strings.ReplaceAll("error "+err.Error(), "\n", " ")
		}
		return "ok"
	}
	convs := map[string]Opened{}
	fmt.Println("ok")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		f := strings.Fields(in.Text())
		switch f[0] {
		case "open":
			cust, err := Sync(ctx, func(d func(Customer, error)) error { return s.EnsureCustomer(f[1], "p256", []byte("pub "+f[1]), d) })
			if err == nil {
				convs[f[1]], err = Sync(ctx, func(d func(Opened, error)) error { return s.OpenConversation(cust.ID, d) })
			}
			fmt.Println(word(err))
		case "say":
			m := fromCustomer(convs[f[1]].Conversation, f[2])
			m.Text = strings.Repeat("x", 6000)
			_, err := Sync(ctx, func(d func(Appended, error)) error { return s.Append(m, d) })
			fmt.Println(word(err))
		case "close":
			_, err := Sync(ctx, func(d func(Conversation, error)) error {
				return s.CloseConversation(convs[f[1]].ID, Actor{Kind: KindSystem}, d)
			})
			fmt.Println(word(err))
		case "health":
			fmt.Println(word(s.Health().Err))
		case "ids":
			var ids []string
			for after := int64(0); ; {
				list, err := s.Messages(ctx, convs[f[1]].ID, Range{After: after})
				if err != nil {
					fmt.Println(word(err))
					os.Exit(1)
				}
				if len(list) == 0 {
					break
				}
				for _, m := range list {
					if after++; m.Seq != after || m.Damaged {
						fmt.Printf("error seq %d after %d\n", m.Seq, after-1)
						os.Exit(1)
					}
					ids = append(ids, m.ID)
				}
			}
			fmt.Println(strings.Join(ids, " "))
		}
	}
	s.Close()
	if err := <-ended; err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

type spaced struct {
	t     *testing.T
	space *fault.Space
	in    io.Writer
	out   *bufio.Reader
}

func newSpaced(t *testing.T, stopNew, readOnly int64) *spaced {
	t.Helper()
	dir := private(t)
	space, err := fault.NewSpace(dir, 64<<20)
	if err != nil {
		t.Fatal(err) // it says what is missing on this machine
	}
	t.Cleanup(space.Close)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path, args := space.Command(self)
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), "LOOKALONG_SPACE_CHILD="+dir+"/data", fmt.Sprint("STOP_NEW=", stopNew), fmt.Sprint("READ_ONLY=", readOnly))
	cmd.Stderr = os.Stderr
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the store inside: %v", err)
		}
	})
	s := &spaced{t, space, in, bufio.NewReader(out)}
	if got := s.line(); got != "ok" {
		t.Fatalf("the store inside says: %s", got)
	}
	return s
}

func (s *spaced) line() string {
	s.t.Helper()
	line, err := s.out.ReadString('\n')
	if err != nil {
		s.t.Fatalf("the store inside ended: %v", err)
	}
	return strings.TrimSpace(line)
}

func (s *spaced) do(command string, args ...any) string {
	s.t.Helper()
	if _, err := fmt.Fprintln(s.in, append([]any{command}, args...)...); err != nil {
		s.t.Fatal(err)
	}
	return s.line()
}

func (s *spaced) want(want, command string, args ...any) {
	s.t.Helper()
	if got := s.do(command, args...); got != want {
		s.t.Fatalf("%s %v: %s, want %s", command, args, got, want)
	}
}

func (s *spaced) becomes(health string) {
	s.t.Helper()
	until(s.t, "health "+health, func() bool { return s.do("health") == health })
}

// TestGuard goes through the levels, twice: each allows what it should, and the
// next begins and ends by itself.
func TestGuard(t *testing.T) {
	s := newSpaced(t, 32<<20, 16<<20)
	s.want("ok", "open", "k")
	s.want("ok", "open", "known")
	s.want("ok", "say", "k", "first")
	for i := range 2 {
		for _, level := range []struct {
			left                    int64
			health, open, say, more string
		}{
			{24 << 20, "low", "low", "ok", "ok"},
			{8 << 20, "readonly", "readonly", "readonly", "ok"},
			{0, "ok", "ok", "ok", "ok"}, // room again
		} {
			var err error
			if level.left == 0 {
				err = s.space.Free()
			} else {
				err = s.space.Fill(level.left)
			}
			if err != nil {
				t.Fatal(err)
			}
			s.becomes(level.health)
			s.want(level.say, "say", "k", fmt.Sprint("m", i, "-", level.left))
			s.want("ok", "say", "k", "first") // a resend gets its acknowledgement
			s.want("ok", "open", "known")     // who is known comes back
			s.want(level.open, "open", fmt.Sprint("new", i, "-", level.left))
			if level.health == "readonly" && i == 1 {
				s.want("ok", "close", "known") // what ends something is still written
			}
		}
	}
	s.want("first m0-25165824 m0-0 m1-25165824 m1-0", "ids", "k")
}

// TestNoSpace has no guard and fills the file system to the last byte at 20 places:
// nothing that was acknowledged is lost, reading goes on, and once there is room
// the same store, with the same id sent again, works on.
func TestNoSpace(t *testing.T) {
	s := newSpaced(t, -1, -1)
	s.want("ok", "open", "k")
	seed := uint64(time.Now().UnixNano())
	r := rand.New(rand.NewPCG(seed, 0))
	var acked []string
	full := 0
	for point := range 20 {
		if err := s.space.Fill(r.Int64N(256 << 10)); err != nil {
			t.Fatal(err)
		}
		id := ""
		for n := 0; ; n++ {
			if n > 2000 {
				t.Fatalf("seed %d, point %d: the disk does not fill", seed, point)
			}
			id = fmt.Sprint("m", point, "-", n)
			got := s.do("say", "k", id)
			if got == "full" {
				full++
				break
			}
			if got != "ok" {
				t.Fatalf("seed %d, point %d, message %d: %s", seed, point, n, got)
			}
			acked = append(acked, id)
		}
		s.want("full", "health")
		s.want(strings.Join(acked, " "), "ids", "k")
		if err := s.space.Free(); err != nil {
			t.Fatal(err)
		}
		until(t, "it works again", func() bool { return s.do("say", "k", id) == "ok" })
		acked = append(acked, id)
		s.want("ok", "health")
	}
	s.want(strings.Join(acked, " "), "ids", "k")
	t.Logf("%d messages, full %d times", len(acked), full)
}

// TestFreeSpaceIsInFragments: file systems that prefer to be read in large blocks
// still count in small ones.
func TestFreeSpaceIsInFragments(t *testing.T) {
	if got := blockBytes(&unix.Statfs_t{Bavail: 1000, Bsize: 1 << 20, Frsize: 4096}); got != 4096000 {
		t.Error(got)
	}
	if got := blockBytes(&unix.Statfs_t{Bavail: 1000, Bsize: 512}); got != 512000 {
		t.Error(got)
	}
}
