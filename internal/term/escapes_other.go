//go:build !windows

package term

// Terminals outside Windows understand escapes without being asked.

func enableEscapes() {}
