package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lookalong/lookalong/internal/term"
	"github.com/lookalong/lookalong/signaling/server"
	"github.com/lookalong/lookalong/signaling/store"
)

// filled makes a data folder with two conversations and returns it with their ids.
func filled(t *testing.T) (data string, ids []string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	err := store.Use(t.Context(), store.Options{Dir: data}, func(ctx context.Context, s *store.Store) error {
		for _, key := range []string{"a", "b"} {
			c, err := store.Sync(ctx, func(done func(store.Customer, error)) error {
				return s.EnsureCustomer(key, "p256", []byte(key), done)
			})
			if err != nil {
				return err
			}
			o, err := store.Sync(ctx, func(done func(store.Opened, error)) error { return s.OpenConversation(c.ID, done) })
			if err != nil {
				return err
			}
			ids = append(ids, o.ID)
			for _, id := range []string{"1", "2", "3"} {
				m := store.Append{Conversation: o.ID, ID: id, SenderKind: store.KindCustomer, SenderID: c.ID, SenderName: "V", Text: "secret canary-" + key}
				if _, err := store.Sync(ctx, func(done func(store.Appended, error)) error { return s.Append(m, done) }); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return data, ids
}

func want(t *testing.T, what string, code, wantCode int, out string, parts ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("%s: exit code %d, want %d\n%s", what, code, wantCode, out)
	}
	for _, p := range parts {
		if !strings.Contains(out, p) {
			t.Errorf("%s: %q is not in:\n%s", what, p, out)
		}
	}
	if strings.Contains(out, "canary") {
		t.Errorf("%s prints a text:\n%s", what, out)
	}
}

// TestDataCommandsBesideAServer: backup, check and erase work while it runs; restore says why not.
func TestDataCommandsBesideAServer(t *testing.T) {
	data, ids := filled(t)
	_, stop := serve(t, "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0", "--data", data)
	file := filepath.Join(t.TempDir(), "copy.db")

	code, out, errs := runMain(t, "backup", file, "--data", data)
	want(t, "backup", code, 0, out+errs, file+"\n", "2 conversations, 6 messages")
	code, out, errs = runMain(t, "backup", file, "--data", data)
	want(t, "a second backup", code, 1, out+errs, "already there", "remove it first")
	code, out, errs = runMain(t, "check", "--data", data)
	want(t, "check", code, 0, out+errs, "2 conversations and 6 messages")
	if out != "" {
		t.Errorf("whole data give %q", out)
	}
	code, out, errs = runMain(t, "restore", file, "--data", data, "--force")
	want(t, "restore", code, 1, out+errs, "already runs on", "hint: stop the server first")

	code, out, errs = runMain(t, "erase", ids[0], "--data", data)
	want(t, "erase off a terminal", code, 2, out+errs, "--yes")
	code, out, errs = runMain(t, "erase", ids[0], "--data", data, "--yes")
	want(t, "erase", code, 0, out+errs, "Erased, with 3 messages")
	code, out, errs = runMain(t, "erase", ids[0], "--data", data, "--yes")
	want(t, "erase again", code, 0, out+errs, "erased before")
	code, out, errs = runMain(t, "erase", "unknown", "--data", data, "--yes")
	want(t, "erase of nothing", code, 1, out+errs, "no such conversation")
	wantNoCopy(t, data, "canary-a")

	if code := stop(); code != 0 {
		t.Fatal(code)
	}
	code, out, errs = runMain(t, "restore", file, "--data", data)
	want(t, "restore over data", code, 1, out+errs, "holds data", "--force")
	code, out, errs = runMain(t, "restore", file, "--data", data, "--force")
	want(t, "restore", code, 0, out+errs, "1 conversations, 3 messages", "1 conversations of the backup were erased again", "replaced-")
	wantNoCopy(t, data, "canary-a")
	_, stop = serve(t, "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0", "--data", data)
	if code := stop(); code != 0 {
		t.Errorf("a server on restored data: %d", code)
	}
	code, out, errs = runMain(t, "restore", file, "--data", filepath.Join(t.TempDir(), "bare"))
	want(t, "restore without a list", code, 0, out+errs, "2 conversations, 6 messages", "warning: there is no erasures.log", "--erase-list")
	next := filepath.Join(t.TempDir(), "new")
	code, out, errs = runMain(t, "restore", file, "--data", next, "--erase-list", filepath.Join(data, "erasures.log"))
	want(t, "restore elsewhere", code, 0, out+errs, "1 conversations, 3 messages")
	wantNoCopy(t, next, "canary-a")
}

func wantNoCopy(t *testing.T, dir, canary string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), canary) {
			t.Errorf("%s is in %s", canary, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEraseAsksOnATerminal(t *testing.T) {
	data, ids := filled(t)
	for answer, wantCode := range map[string]int{"no\n": 1, "": 1, "y\n": 1, "yes\n": 0} {
		s, out, errs := term.Test(answer)
		s.CanPrompt, s.InTTY, s.OutTTY = true, true, true
		id := ids[0]
		if wantCode == 0 {
			id = ids[1]
		}
		code := server.Main(t.Context(), []string{"erase", id, "--data", data}, s)
		want(t, "answer "+answer, code, wantCode, out.String()+errs.String(), "Erase "+id+" (3 messages) for ever? Type yes: ")
	}
	code, out, errs := runMain(t, "check", "--data", data)
	want(t, "check", code, 0, out+errs, "1 conversations and 3 messages")
}

func TestCheckOfDamagedData(t *testing.T) {
	data, ids := filled(t)
	path := filepath.Join(data, "lookalong.db")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.ReplaceAll(string(text), "secret canary-b", "secret_canary-b")
	if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := runMain(t, "check", "--data", data)
	want(t, "check", code, 1, out+errs, "conversation "+ids[1]+": message 2 is damaged", "hint: stop the server, keep a copy")
	code, out, _ = runMain(t, "check", "--data", data, "--json")
	var got struct {
		Version int
		Whole   bool
		Damage  []struct{ Conversation, What string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 1 || got.Version != 1 || got.Whole || len(got.Damage) != 3 || got.Damage[0].Conversation != ids[1] {
		t.Errorf("%d %v %s", code, err, out)
	}
	code, out, errs = runMain(t, "backup", filepath.Join(t.TempDir(), "x.db"), "--data", data)
	want(t, "backup of damage", code, 1, out+errs, "the copy is thrown away")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs = runMain(t, "check", "--data", data)
	want(t, "check of no database", code, 1, out+errs, "damaged")
}

func TestDataCommandsNameMistakes(t *testing.T) {
	data, _ := filled(t)
	for what, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"backup to nowhere":  {[]string{"backup", "--data", data}, 2, "takes one argument, FILE"},
		"two files":          {[]string{"backup", "a", "b", "--data", data}, 2, "takes one argument"},
		"no folder":          {[]string{"check", "--data", filepath.Join(data, "no")}, 1, "does not exist"},
		"an empty folder":    {[]string{"check", "--data", t.TempDir()}, 1, "has no data"},
		"check of something": {[]string{"check", "x", "--data", data}, 2, "takes no argument"},
		"restore of nothing": {[]string{"restore", "/nowhere/x.db", "--data", data, "--force"}, 1, "can't be read"},
		"erase of whom":      {[]string{"erase", "--yes", "--data", data}, 2, "ID, of a conversation"},
		"backup to no place": {[]string{"backup", "/nowhere/x.db", "--data", data}, 1, "can't be written"},
	} {
		code, out, errs := runMain(t, c.args...)
		want(t, what, code, c.code, out+errs, c.want)
	}
}

// TestBackupIntoTheDataFolderIsRefused: by whatever name.
func TestBackupIntoTheDataFolderIsRefused(t *testing.T) {
	data, _ := filled(t)
	beside := filepath.Dir(data)
	link := filepath.Join(beside, "link")
	below := filepath.Join(data, "below")
	if err := errors.Join(os.Mkdir(below, 0o700), os.Symlink(below, link)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(data)
	for _, file := range []string{filepath.Join(data, "x.db"), filepath.Join(below, "x.db"), "x.db", filepath.Join(link, "x.db"), filepath.Join(beside, "none", "..", "data", "x.db")} {
		code, out, errs := runMain(t, "backup", file, "--data", data)
		want(t, file, code, 2, out+errs, file+" is inside the data folder", "hint: name a file on another disk")
	}
	left, err := filepath.Glob(filepath.Join(data, "*x.db*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
	for _, file := range []string{filepath.Join(beside, "data-x.db"), filepath.Join("..", "x.db")} {
		code, out, errs := runMain(t, "backup", file, "--data", data)
		want(t, file, code, 0, out+errs, "2 conversations")
	}
}

// TestEraseListIsOne: a restore with another file would bring back what was erased.
func TestEraseListIsOne(t *testing.T) {
	data, ids := filled(t)
	dir := t.TempDir()
	backup := filepath.Join(dir, "x.db")
	code, out, errs := runMain(t, "backup", backup, "--data", data)
	want(t, "backup", code, 0, out+errs)
	list := filepath.Join(dir, "list")
	for name, c := range map[string]struct {
		text, want string
		code       int
	}{
		"a list":               {"\n" + ids[0] + "\n", "1 conversations of the backup were erased again", 0},
		"with a torn line":     {"\n" + ids[0] + "\n" + ids[1][:9], "1 conversations of the backup were erased again", 0},
		"another text":         {"# Conversations\nto erase\n", "line 1 is not the id", 1},
		"words":                {ids[0] + "\nhello\n", "line 2 is not the id", 1},
		"the database":         {"SQLite format 3\x00\n" + strings.Repeat("x\n", 100), "line 1 is not the id", 1},
		"zeros":                {strings.Repeat("\x00", 100) + "\n", "line 1 is not the id", 1},
		"nothing":              {"", "holds no id", 1},
		"without a line break": {ids[0] + "\n" + ids[1], "no line break", 1},
	} {
		if err := os.WriteFile(list, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(t.TempDir(), "new")
		code, out, errs := runMain(t, "restore", backup, "--data", to, "--erase-list", list)
		want(t, name, code, c.code, out+errs, c.want)
		if _, err := os.Stat(to); (err == nil) != (c.code == 0) {
			t.Errorf("%s: after exit code %d the folder: %v", name, c.code, err)
		}
	}
	for what, path := range map[string]string{"is not a plain file": dir, "can't be read": filepath.Join(dir, "none")} {
		code, out, errs := runMain(t, "restore", backup, "--data", filepath.Join(t.TempDir(), "new"), "--erase-list", path)
		want(t, what, code, 1, out+errs, what, "hint: name the erasures.log")
	}
}

func TestConfigCheck(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	data, _ := filled(t)
	file := filepath.Join(dir, "lookalong.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("site-name = 'From the file'\ndata = '" + data + "'\nturn-url = ['turn:a:1', 'turn:b:2']\n")
	t.Setenv("LOOKALONG_CONFIG", file)
	t.Setenv("LOOKALONG_LOG_LEVEL", "error")
	_, stop := serve(t, "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0") // with the file's folder
	code, out, errs := runMain(t, "config-check", "--listen", taken.Addr().String())
	want(t, "config-check beside a server, on its port", code, 0, out+errs)
	rows := map[string][]string{}
	for line := range strings.Lines(out) {
		rows[strings.Fields(line)[0]] = strings.Fields(line)[1:]
	}
	for name, want := range map[string]string{
		"listen": taken.Addr().String() + " --listen", "site-name": "From the file " + file, "log-level": "error LOOKALONG_LOG_LEVEL",
		"data": data + " " + file, "relay-ports": "49152-65535 default", "turn-url": "[turn:a:1,turn:b:2] " + file,
	} {
		if got := strings.Join(rows[name], " "); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if code := stop(); code != 0 {
		t.Error(code)
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(left) != 1 {
		t.Errorf("config-check leaves %q %v", left, err)
	}
	code, out, _ = runMain(t, "config-check", "--json")
	var got struct {
		Version  int
		Settings []struct{ Name, Value, Source string }
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.Version != 1 || len(got.Settings) != len(rows) {
		t.Errorf("%d %v %s", code, err, out)
	}
	for what, c := range map[string]struct {
		file string
		args []string
		code int
		want string
	}{
		"a wrong address": {"listen = '8080'", nil, 2, "--listen"},
		"a wrong port":    {"turn-listen = '127.0.0.1:http2you'", nil, 2, "--turn-listen"},
		"an open server":  {"", []string{"--listen", ":0"}, 2, "--url"},
		"a lost key":      {"tls-cert = 'x.pem'", nil, 2, "belong together"},
		"no certificate":  {"tls-cert = 'x.pem'\ntls-key = 'y.pem'\nurl = 'https://h.example'\nrelay-address = '203.0.113.5'", nil, 1, "certificate"},
		"a wrong level":   {"", []string{"--log-level", "loud"}, 2, "--log-level"},
		"a file as data":  {"data = '" + file + "'", nil, 1, "is a file"},
		"wrong days":      {"retention-chat = -1", nil, 2, "--retention-chat"},
		"a wrong size":    {"disk-stop-new = '2GB'", nil, 2, "size such as"},
		"an unknown key":  {"lisen = ':1'", nil, 2, `did you mean "listen"?`},
	} {
		write(c.file)
		code, out, errs := runMain(t, append([]string{"config-check"}, c.args...)...)
		want(t, what, code, c.code, out+errs, c.want)
	}
}

// TestCheckOfARelativeFolder: the default folder's name has no slash before it.
func TestCheckOfARelativeFolder(t *testing.T) {
	data, _ := filled(t)
	t.Chdir(filepath.Dir(data))
	code, out, errs := runMain(t, "check", "--data", filepath.Base(data))
	want(t, "check", code, 0, out+errs, "2 conversations and 6 messages")
}

// TestMistypedVariablesAreRefused: by every command; a restore must not go to the default folder for one wrong letter.
func TestMistypedVariablesAreRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("LOOKALONG_HOME", "of the agent's program")
	t.Setenv("LOOKALONG_DATTA", "slip")
	for _, args := range [][]string{
		{"serve", "--listen", "127.0.0.1:0", "--turn-listen", "127.0.0.1:0"}, {"config-check"}, {"check"}, {"backup", "x.db"},
		{"restore", "--force", "x.db"}, {"erase", "--yes", "x"}, {"invite", "--name", "Ana"},
	} {
		code, out, errs := runMain(t, args...)
		want(t, args[0], code, 2, out+errs, "LOOKALONG_DATTA is no setting; did you mean LOOKALONG_DATA?")
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestUnknownCommandIsWrongUsage(t *testing.T) {
	code, out, errs := runMain(t, "serv")
	want(t, "serv", code, 2, out+errs, "unknown command", "hint:")
}
