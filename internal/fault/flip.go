package fault

import (
	"fmt"
	"math/rand/v2"
	"os"
)

// Flip changes one bit of a file, within its bytes from..to (to 0: its end), and says which. The file must not be open
// in a server.
func Flip(path string, from, to int64, r *rand.Rand) (offset int64, bit int, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, 0, fmt.Errorf("fault: flip: %w", err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return 0, 0, fmt.Errorf("fault: flip: %w", err)
	} else if to == 0 {
		to = info.Size()
	}
	if from < 0 || from >= to {
		return 0, 0, fmt.Errorf("fault: flip: %s has no bytes from %d to %d", path, from, to)
	}
	offset, bit = from+r.Int64N(to-from), r.IntN(8)
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		return 0, 0, fmt.Errorf("fault: flip: %w", err)
	}
	b[0] ^= 1 << bit
	if _, err := f.WriteAt(b[:], offset); err != nil {
		return 0, 0, fmt.Errorf("fault: flip: %w", err)
	}
	return offset, bit, f.Close()
}
