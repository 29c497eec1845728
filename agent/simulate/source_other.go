//go:build !linux

package simulate

// manyLoopbacks: elsewhere only 127.0.0.1 is there by itself.
const manyLoopbacks = false
