package store

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestTokens(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"Refund":                 "refund",
		"Where is my REFUND?!":   "where is my refund",
		"退款":                     "退款 款",
		"款":                      "款",
		"我要退款。谢谢":                "我要 要退 退款 款 谢谢 谢",
		"用iPhone退款":              "用 iphone 退款 款",
		"Crème brûlée, Łódź, ß":  "creme brulee lodz ss",
		"re\u0301sume\u0301":     "resume",
		"ＡＢＣ１２３":                 "abc123",
		"ｶﾞｿﾘﾝ":                  "ガソ ソリ リン ン",
		"か\u3099":                "が",
		"データベース":                 "デー ータ タベ ベー ース ス",
		"환불해 주세요":                "환불 불해 해 주세 세요 요",
		"re\u200bfu\u00adnd":     "refund",
		"Возвращённый":           "возвращенный",
		"Ωραία":                  "ωραια",
		"order-4711/x_y":         "order 4711 x y",
		`"quoted" AND (NOT) x*`:  "quoted and not x",
		"👍 \x00\xff ok":          "ok",
		strings.Repeat("x", 100): strings.Repeat("x", maxWord),
	} {
		if got := Tokens(in); got != want {
			t.Errorf("Tokens(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestLocate(t *testing.T) {
	for _, c := range []struct{ text, query, want string }{
		{"Where is my Refund?", "refund", "Refund"},
		{"我要退款。", "退款", "退款"},
		{"我要退款。", "款", "款"},
		{"Crème brûlée", "brulee", "brûlée"},
		{"re\u0301sume\u0301!", "resume", "re\u0301sume\u0301"},
		{"refunded today", "refund*", "refunded"},
		{"refunded today", "refund", ""},
		{"ｶﾞｿﾘﾝ代", "ガソリン", "ｶﾞｿﾘﾝ"},
		{"groß", "gross", "groß"},
		{"a 退 b", "退款", ""},
	} {
		terms, err := parseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		if start, end := locate(c.text, terms); c.text[start:end] != c.want {
			t.Errorf("%q in %q: found %q, want %q", c.query, c.text, c.text[start:end], c.want)
		}
	}
}

func TestQueriesThatAreNone(t *testing.T) {
	for _, q := range []string{"", "  ", `"*()`, "👍", strings.Repeat("x", MaxQuery+1), strings.Repeat("x", 10*MaxQuery), strings.Repeat("a ", maxTerms+1)} {
		_, err := parseQuery(q)
		wantErr(t, err, ErrInvalid)
	}
	for _, q := range []string{strings.Repeat("x", MaxQuery), strings.TrimSpace(strings.Repeat("a ", maxTerms))} {
		if _, err := parseQuery(q); err != nil {
			t.Errorf("%d characters, at the limit: %v", len(q), err)
		}
	}
}

// FuzzTokens: whatever the text, the column holds folded letters and single
// spaces, and is the same again when it is folded again word by word.
func FuzzTokens(f *testing.F) {
	for _, s := range []string{"", "Refund 退款", "ｶﾞ\u3099", "a\u0301\u0301", "\xff\xfe", "ß\u200d*", `" OR 1=1 --`, "ﬁﬁ退ﬁ", "ไม่ได้", "\u0345", "İ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Tokens(text)
		if !utf8.ValidString(got) || strings.Contains(got, "  ") || strings.TrimSpace(got) != got {
			t.Fatalf("%q: %q", text, got)
		}
		for _, r := range got {
			if r != ' ' && !unicode.In(r, unicode.L, unicode.M, unicode.N) {
				t.Fatalf("%q: %q in the column", text, r)
			}
		}
		stretches(text, func(r stretch) bool {
			last := -1
			for _, from := range r.from {
				if from < last || from >= r.end || r.end > len(text) {
					t.Fatalf("%q: run at %v to %d", text, r.from, r.end)
				}
				last = from
			}
			return len(r.letters) == len(r.from)
		})
		terms, err := parseQuery(text)
		if err != nil {
			wantErr(t, err, ErrInvalid)
			return
		}
		if start, end := locate(text, terms); start >= end || end > len(text) {
			t.Fatalf("%q is not found in itself: %d to %d", text, start, end)
		}
	})
}
