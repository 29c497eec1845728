package store

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"modernc.org/sqlite"
)

const panicChild = "LOOKALONG_STORE_PANIC_CHILD"

func init() { children[panicChild] = panicMain }

// panicMain is a process in which SQLite panics in the middle of a statement.
func panicMain(dir string) {
	err := sqlite.RegisterScalarFunction("panics", 0, func(*sqlite.FunctionContext, []driver.Value) (driver.Value, error) {
		panic("inside SQLite")
	})
	s, openErr := Open(context.Background(), Options{Dir: dir, StopNewBelow: -1, ReadOnlyBelow: -1})
	if err != nil || openErr != nil {
		fmt.Println(err, openErr)
		os.Exit(1)
	}
	_ = s.SetSetting("a", "1", func(struct{}, error) {})
	_ = submit(s, func(t *tx) (int64, error) { return t.exec("UPDATE settings SET value = panics()") }, func(int64, error) {})
	fmt.Println("ended with", s.Run(context.Background()))
	os.Exit(1)
}

// TestAPanicEndsTheProcess: it must not hang in the closing of what the panic has locked.
func TestAPanicEndsTheProcess(t *testing.T) {
	dir := private(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), panicChild+"="+dir)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil || err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(out.String(), "panic: inside SQLite") {
		t.Fatalf("%v, %v:\n%.2000s", ctx.Err(), err, out.String())
	}
	s, _ := run(t, Options{Dir: dir}) // the next process starts on what is there
	must(t, func(done func(struct{}, error)) error { return s.SetSetting("a", "2", done) })
}
