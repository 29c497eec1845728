// Opening: the folder, its modes, the lock, versions, and a command beside the server.

package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestFolderModes(t *testing.T) {
	dir := filepath.Join(private(t), "not", "there yet ?#%41")
	s, stop := run(t, Options{Dir: dir})
	must(t, func(d func(struct{}, error)) error { return s.SetSetting("a", "b", d) })
	mode := func(path string) os.FileMode {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	if got := mode(dir); got != 0o700 {
		t.Fatalf("folder has mode %04o", got)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		if got := mode(filepath.Join(dir, f.Name())); got != 0o600 {
			t.Errorf("%s has mode %04o", f.Name(), got)
		}
	}
	if got := strings.Join(names, " "); got != "lookalong.db lookalong.db-shm lookalong.db-wal lookalong.lock" {
		t.Errorf("files: %s", got)
	}
	if _, err := s.Setting(t.Context(), "a"); err != nil { // readers must not keep the WAL
		t.Fatal(err)
	}
	stop()
	if _, err := os.Stat(filepath.Join(dir, dbName+"-wal")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the WAL is there after the end: %v", err)
	}
	if err := os.Chmod(filepath.Join(dir, dbName), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, Options{Dir: dir})
	if got := mode(filepath.Join(dir, dbName)); got != 0o600 {
		t.Errorf("a loose file was left at %04o", got)
	}
}

func TestPragmas(t *testing.T) {
	s, _ := fresh(t)
	for _, test := range []struct {
		db         *sql.DB
		name, want string
	}{
		{s.readDB, "journal_mode", "wal"}, {s.readDB, "query_only", "1"}, {s.readDB, "secure_delete", "1"},
		{s.readDB, "busy_timeout", "4500"},
	} {
		var got string
		if err := test.db.QueryRow("PRAGMA " + test.name).Scan(&got); err != nil || got != test.want {
			t.Errorf("%s = %s, %v; want %s", test.name, got, err, test.want)
		}
	}
	for name, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "foreign_keys": "1", "busy_timeout": "4500"} {
		got, err := do(t, func(d func(string, error)) error {
			return submit(s, func(t *tx) (string, error) { return first(t.query, scanOne[string], name, "PRAGMA "+name) }, d)
		})
		if err != nil || got != want {
			t.Errorf("%s = %s, %v; want %s", name, got, err, want)
		}
	}
}

func TestFolderRefused(t *testing.T) {
	file := filepath.Join(private(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	loose := t.TempDir()
	if err := os.Chmod(loose, 0o750); err != nil {
		t.Fatal(err)
	}
	odd := private(t)
	if err := os.Mkdir(filepath.Join(odd, dbName), 0o700); err != nil {
		t.Fatal(err)
	}
	garbage := private(t)
	if err := os.WriteFile(filepath.Join(garbage, dbName), []byte(strings.Repeat("not a database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, dir string
		want      error
		says      string
	}{
		{"no name", "", ErrFolder, "--data"},
		{"a file", file, ErrFolder, "is a file"},
		{"below a file", file + "/data", ErrFolder, "can't be made"},
		{"cannot be made", "/proc/lookalong", ErrFolder, "can't be made"},
		{"open to the group", loose, ErrFolder, "chmod 700 " + loose},
		{"a folder in the file's place", odd, ErrFolder, "not a plain file"},
		{"not a database", garbage, ErrDamaged, "restore a backup"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Open(t.Context(), Options{Dir: test.dir})
			if err == nil {
				s.Close()
			}
			wantErr(t, err, test.want)
			if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("says: %s", err)
			}
		})
	}
}

func TestSecondServer(t *testing.T) {
	dir := private(t)
	_, stop := run(t, Options{Dir: dir})
	_, err := Open(t.Context(), Options{Dir: dir})
	wantErr(t, err, ErrLocked)
	if !strings.Contains(err.Error(), "process ") || strings.Contains(err.Error(), "\n") {
		t.Fatalf("says: %s", err)
	}
	stop()
	run(t, Options{Dir: dir})
}

// TestUse runs the invite command's part beside a server, both writing.
func TestUse(t *testing.T) {
	dir := private(t)
	invite := func() (token string) {
		t.Helper()
		err := Use(t.Context(), Options{Dir: dir}, func(ctx context.Context, s *Store) (err error) {
			token, err = Sync(ctx, func(d func(string, error)) error { return s.CreateInvite("Ana", RoleAdmin, 0, d) })
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	before := invite() // makes the folder and the file
	s, _ := run(t, Options{Dir: dir})
	during := invite()
	for i, token := range []string{before, during} {
		if _, err := redeem(t, s, token, string(rune('a'+i))); err != nil {
			t.Fatal(err)
		}
	}
	want := errors.New("the command's own")
	wantErr(t, Use(t.Context(), Options{Dir: dir}, func(context.Context, *Store) error { return want }), want)
}

func TestNewerVersionUnchanged(t *testing.T) {
	dir := private(t)
	s, stop := run(t, Options{Dir: dir})
	newConversation(t, s, "k")
	must(t, func(d func(int64, error)) error {
		return submit(s, func(t *tx) (int64, error) {
			return t.exec("INSERT INTO migrations (number, name, applied_at) VALUES (999, 'future', 0)")
		}, d)
	})
	stop()
	sum := func() [32]byte {
		data, err := os.ReadFile(filepath.Join(dir, dbName))
		if err != nil {
			t.Fatal(err)
		}
		return sha256.Sum256(data)
	}
	before := sum()
	for name, open := range map[string]func(context.Context, Options) (*Store, error){"server": Open, "command": OpenShared} {
		_, err := open(t.Context(), Options{Dir: dir})
		wantErr(t, err, ErrNewer)
		if !strings.Contains(err.Error(), "999") || !strings.Contains(err.Error(), "newer program") {
			t.Fatalf("%s says: %s", name, err)
		}
	}
	if sum() != before {
		t.Fatal("the file changed")
	}
}

func TestMigrate(t *testing.T) {
	dir := private(t)
	path := filepath.Join(dir, dbName)
	if err := prepareFile(path); err != nil {
		t.Fatal(err)
	}
	db, err := openWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	one := migration{1, "0001_a.sql", "CREATE TABLE a (x TEXT)"}
	broken := migration{2, "0002_b.sql", "CREATE TABLE b (x TEXT); nonsense"}
	two := migration{2, "0002_b.sql", "CREATE TABLE b (x TEXT); INSERT INTO b VALUES ('kept')"}
	oldExtra, oldStep := extras[1], steps[2] // this is another schema
	delete(extras, 1)
	delete(steps, 2)
	defer func() { extras[1], steps[2] = oldExtra, oldStep }()
	version := func(want int) {
		t.Helper()
		if got, err := schemaVersion(t.Context(), db); err != nil || got != want {
			t.Fatalf("version %d, %v; want %d", got, err, want)
		}
	}
	version(0)
	apply := func(list ...migration) error { return migrate(t.Context(), db, list, time.Now()) }
	if err := apply(one); err != nil {
		t.Fatal(err)
	}
	version(1)
	if err := apply(one, broken); err == nil || !strings.Contains(err.Error(), "0002_b.sql") {
		t.Fatalf("got %v", err)
	}
	version(1)
	if there, err := hasTable(t.Context(), db, "b"); err != nil || there {
		t.Fatalf("half a migration stayed: %v, %v", there, err)
	}
	for range 2 {
		if err := apply(one, two); err != nil {
			t.Fatal(err)
		}
		version(2)
	}
}

// TestSharedLeavesMigrationToTheServer: an up-to-date file is opened beside the server at once;
// one that must be migrated is left to the server that holds the lock.
func TestSharedLeavesMigrationToTheServer(t *testing.T) {
	dir := private(t)
	l, err := takeLock(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer l.release()
	_, err = OpenShared(t.Context(), Options{Dir: dir})
	wantErr(t, err, ErrLocked)
}

// TestSQLiteVersion: before 3.51.3 a checkpoint beside a writer that starts the
// write-ahead log over could damage the file (https://www.sqlite.org/wal.html),
// and here they do run beside each other.
func TestSQLiteVersion(t *testing.T) {
	s, _ := fresh(t)
	var text string
	if err := s.readDB.QueryRow("SELECT sqlite_version()").Scan(&text); err != nil {
		t.Fatal(err)
	}
	var major, minor, patch int
	if n, err := fmt.Sscanf(text, "%d.%d.%d", &major, &minor, &patch); n != 3 {
		t.Fatal(text, err)
	}
	if major*1_000_000+minor*1000+patch < 3_051_003 {
		t.Errorf("SQLite %s, want 3.51.3 or later", text)
	}
}

// TestOpenBackupFile: a backup that was copied into place is in WAL mode before
// anybody can read, since it can't change into it beside a reader.
func TestOpenBackupFile(t *testing.T) {
	s, stop := run(t, Options{Dir: private(t)})
	file, _ := backup(t, s)
	stop()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	dir := private(t)
	if err := os.WriteFile(filepath.Join(dir, dbName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	mode, err := first(s.reader(t.Context()), scanOne[string], "mode", "PRAGMA journal_mode")
	if err != nil || mode != "wal" {
		t.Errorf("it is read in mode %s, %v", mode, err)
	}
}
