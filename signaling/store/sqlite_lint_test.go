// The border of the dialect: outside sqlite*.go and what belongs to migrations,
// every statement is one that PostgreSQL understands too.

package store

import (
	"database/sql"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// foreignWords are SQLite's own. Each is looked for in texts that look like SQL.
var foreignWords = regexp.MustCompile(`(?i)\b(INSERT\s+OR|REPLACE\s+INTO|UPDATE\s+OR|PRAGMA|rowid|WITHOUT\s+ROWID|STRICT|AUTOINCREMENT|json_each|json_extract|` +
	`strftime|julianday|unixepoch|datetime\s*\(|ifnull|iif|group_concat|total\s*\(|GLOB|REGEXP|MATCH|INDEXED\s+BY|NOT\s+INDEXED|sqlite_\w+|printf\s*\(|` +
	`instr|randomblob|zeroblob|hex\s*\(|RAISE|VACUUM|ATTACH|DETACH|BEGIN\s+IMMEDIATE|BEGIN\s+EXCLUSIVE|COLLATE\s+NOCASE)\b|\bIS\s+\?|==|\bLIMIT\s+\?\s*,|` + "`")

var looksLikeSQL = regexp.MustCompile(`^\s*(--|SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|CREATE|ALTER|DROP|PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|VACUUM|ATTACH|WHERE|AND|ORDER|SET)\s`)

// sqlTexts are the string constants of a Go file that look like SQL.
func sqlTexts(t testing.TB, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(file, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil && looksLikeSQL.MatchString(text) {
				out = append(out, text)
			}
		}
		return true
	})
	return out
}

func TestStatementsArePortable(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		if strings.HasPrefix(name, "sqlite") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, text := range sqlTexts(t, name) {
			seen++
			if word := foreignWords.FindString(text); word != "" {
				t.Errorf("%s has %q, which is SQLite's own (it belongs into sqlite.go): %s", name, word, text)
			}
		}
	}
	if seen < 60 {
		t.Fatalf("%d statements found: the test is blind", seen)
	}
	migrations, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range migrations {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range statements(string(data)) {
			if word := foreignWords.FindString(text); word != "" {
				t.Errorf("%s has %q: %s", name, word, text)
			}
		}
	}
}

// TestLintFinds: each of these is found.
func TestLintFinds(t *testing.T) {
	for _, text := range []string{
		"INSERT OR REPLACE INTO a VALUES (?)", "SELECT rowid FROM a", "PRAGMA user_version", "SELECT 1 FROM json_each(?)",
		"SELECT strftime('%s')", "SELECT a FROM b WHERE c IS ?", "SELECT count(*) FROM sqlite_master", "SELECT a FROM b WHERE c == 1",
		"CREATE TABLE a (x TEXT) WITHOUT ROWID", "SELECT a FROM b WHERE c MATCH ?", "SELECT a FROM b LIMIT ?, 1",
	} {
		if !looksLikeSQL.MatchString(text) || foreignWords.FindString(text) == "" {
			t.Errorf("not found in: %s", text)
		}
	}
}

// TestPlans: what runs often, or at the start, scans no table.
func TestPlans(t *testing.T) {
	s, _ := fresh(t)
	for name, text := range map[string]string{
		"a page of messages":        messageColumns + inConversation + "AND seq > ? AND seq < ? ORDER BY seq DESC LIMIT ?",
		"a resend":                  messageColumns + "WHERE conversation_num = ? AND once = ?",
		"an append":                 advance,
		"the writer's row":          "SELECT " + conversationFields + ", num FROM conversations WHERE id = ?",
		"the next number":           "SELECT " + nextConversation,
		"the last audit entry":      lastAudit,
		"the audit log":             auditAll,
		"one audit log":             auditOne,
		"the start":                 "UPDATE conversations SET lapses_at = ? WHERE state = 'claimed' AND lapses_at IS NULL",
		"what a crash left behind":  caughtUp,
		"who is next":               "SELECT id FROM conversations WHERE state = 'waiting' ORDER BY waiting_since, id LIMIT 1",
		"what is open":              conversationColumns + "WHERE state <> 'closed'",
		"live sessions":             sessionColumns + "WHERE state <> 'ended' ORDER BY created_at, id",
		"the silent":                closing + silent,
		"the latest":                conversationColumns + "ORDER BY last_at DESC, id LIMIT ?",
		"a customer's":              conversationColumns + "WHERE customer_id = ? AND (state <> 'closed' OR closed_at >= ?)",
		"a relay's request":         sessionColumns + "WHERE relay_user = ? AND state <> 'ended'",
		"marks":                     markColumns,
		"audit entries to delete":   auditOld,
		"customers to be deleted":   lonely,
		"the sessions to be erased": "DELETE FROM sessions WHERE conversation = ?",
		"a customer's sessions":     "SELECT 1 FROM sessions WHERE customer_id = ?", // what the foreign key asks
		"the version at opening":    "SELECT coalesce(max(number), 0) FROM migrations",
	} {
		rows, err := s.readDB.Query("EXPLAIN QUERY PLAN "+text, make([]any, strings.Count(text, "?"))...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plan, err := list(func(each func(*sql.Rows) error, _ string, _ ...any) error { return scan(rows, nil, each) },
			func(rows *sql.Rows) (detail string, err error) {
				var a, b, c int
				return detail, rows.Scan(&a, &b, &c, &detail)
			}, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range plan {
			if strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "USING") && step != "SCAN CONSTANT ROW" {
				t.Errorf("%s: %s", name, strings.Join(plan, "; "))
				break
			}
			if name == "the silent" && strings.Contains(step, "conversations") && !strings.Contains(step, "conversations_claimed") {
				t.Errorf("%s: %s", name, step)
			}
		}
		t.Logf("%s: %s", name, strings.Join(plan, "; "))
	}
}
