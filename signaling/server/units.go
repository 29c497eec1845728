package server

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// byteSize is a flag's value: "2GiB", "512MiB", "1048576", or "off", which is -1.
type byteSize int64

var byteUnits = []struct {
	name string
	size int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes the largest unit that fits without a fraction.
func (b *byteSize) String() string {
	if *b < 0 {
		return "off"
	}
	for _, u := range byteUnits[:len(byteUnits)-1] {
		if n := int64(*b); n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(*b), 10)
}

// Set reads a value. Units of a thousand are refused: a disk's limit that is 7 % off would surprise.
func (b *byteSize) Set(text string) error {
	text = strings.TrimSpace(text)
	if text == "off" {
		*b = -1
		return nil
	}
	number, unit := text, int64(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, unit = strings.TrimSpace(n), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return errors.New("not a size such as 512MiB, 2GiB or 1048576 (bytes), nor off")
	}
	if n == 0 {
		return fmt.Errorf("0 is no limit; write off to switch it off")
	}
	*b = byteSize(n * unit)
	return nil
}

// Type is what help shows.
func (b *byteSize) Type() string { return "size" }
