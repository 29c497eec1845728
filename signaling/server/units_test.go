package server

import "testing"

func TestByteSizes(t *testing.T) {
	for text, want := range map[string]struct {
		size int64
		back string
	}{
		"2GiB": {2 << 30, "2GiB"}, "512MiB": {512 << 20, "512MiB"}, "1536 MiB": {1536 << 20, "1536MiB"}, "2048KiB": {2 << 20, "2MiB"},
		"1048577": {1048577, "1048577"}, "100B": {100, "100"}, "off": {-1, "off"}, "4TiB": {4 << 40, "4TiB"},
	} {
		var b byteSize
		if err := b.Set(text); err != nil || int64(b) != want.size || b.String() != want.back {
			t.Errorf("%q is %d, written %q, %v; want %d, %q", text, b, b.String(), err, want.size, want.back)
		}
		var again byteSize
		if err := again.Set(b.String()); err != nil || again != b {
			t.Errorf("%q read back is %d, %v", b.String(), again, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "2GB", "2G", "GiB", "1.5GiB", "9223372036854775807GiB", "lots", "0x10"} {
		var b byteSize
		if b.Set(text) == nil {
			t.Errorf("%q is accepted as %d", text, b)
		}
	}
}
