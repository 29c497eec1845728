// Folding: what makes two spellings the same word. A small part of Unicode's
// NFKC_Casefold (https://www.unicode.org/reports/tr31/): letter case, accents of
// Latin and Greek letters, and the full-width and half-width forms of East Asian
// keyboards. Both the index and the queries go through it, so that it is the
// database's tokeniser that has nothing left to decide.

package store

import (
	"strings"
	"unicode"
)

// accented lists, behind each plain letter (or letters), those that are found by it.
const accented = `a àáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặª
ae æǽǣ
b ḃḅḇ
c çćĉċčḉ
d ďḋḍḏḑḓđð
dz ǆǳ
e èéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệ
f ḟ
fi ﬁ
fl ﬂ
g ĝğġģǧǵḡ
h ĥȟḣḥḧḩḫẖħ
i ìíîïĩīĭįǐȉȋḭḯỉịı
ij ĳ
j ĵǰ
k ķǩḱḳḵĸ
l ĺļľḷḹḻḽł
lj ǉ
m ḿṁṃ
n ñńņňǹṅṇṉṋŋ
nj ǌ
o òóôõöōŏőơǒǫǭȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợøǿº
oe œ
p ṕṗ
r ŕŗřȑȓṙṛṝṟ
s śŝşšșṡṣṥṧṩẛſ
ss ß
t ţťțṫṭṯṱẗŧ
th þ
u ùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự
v ṽṿ
w ŵẁẃẅẇẉẘ
x ẋẍ
y ýÿŷȳẏẙỳỵỷỹ
z źżžẑẓẕ
α άὰᾶ
ε έὲ
η ήὴῆ
ι ίὶῖϊΐ
ο όὸ
υ ύὺῦϋΰ
ω ώὼῶ
σ ς
е ё`

// halfKatakana are the full-width forms of U+FF66 to U+FF9D, in order.
const halfKatakana = "ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン"

// voiceable and halfVoiceable are the kana that a sound mark turns into the next
// code point, or the one after it; katakana stand 0x60 above hiragana.
const (
	voiceable     = "かきくけこさしすせそたちつてとはひふへほ"
	halfVoiceable = "はひふへほ"
	kanaDistance  = 'ア' - 'あ'
)

var folds, fullKana = func() (map[rune]string, []rune) {
	m := map[rune]string{}
	for line := range strings.Lines(accented) {
		plain, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, r := range rest {
			m[r] = plain
		}
	}
	return m, []rune(halfKatakana)
}()

// fold appends what r is searched by; nothing for what is not searched at all
// (accents on their own, invisible characters).
func fold(dst []rune, r rune) []rune {
	switch {
	case r < 0x80:
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return append(dst, r)
	case r >= 0xff01 && r <= 0xff5e:
		return fold(dst, r-0xff01+'!')
	case r >= 0xff66 && r <= 0xff9d:
		return append(dst, fullKana[r-0xff66])
	case r == 0x3099, r == 0xff9e:
		return voice(dst, voiceable, 1)
	case r == 0x309a, r == 0xff9f:
		return voice(dst, halfVoiceable, 2)
	case r >= 0x300 && r <= 0x36f, r >= 0xfe00 && r <= 0xfe0f, unicode.Is(unicode.Cf, r):
		return dst
	}
	r = unicode.ToLower(r)
	if plain, ok := folds[r]; ok {
		return append(dst, []rune(plain)...)
	}
	return append(dst, r)
}

// voice puts a sound mark onto the last kana, where it has a form with one.
func voice(dst []rune, which string, step rune) []rune {
	if n := len(dst); n > 0 && (strings.ContainsRune(which, dst[n-1]) || strings.ContainsRune(which, dst[n-1]-kanaDistance)) {
		dst[n-1] += step
	}
	return dst
}

// unspaced reports whether r belongs to a script whose words are not separated,
// or whose parts are searched for by themselves (Korean).
func unspaced(r rune) bool {
	return r >= 0xe00 && (unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo,
		unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar) || r == 'ー')
}
