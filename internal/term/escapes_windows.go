package term

// Windows consoles understand escapes only when asked to (Console Virtual Terminal Sequences, Microsoft Learn).

import "golang.org/x/sys/windows"

func enableEscapes() {
	for _, which := range []uint32{windows.STD_OUTPUT_HANDLE, windows.STD_ERROR_HANDLE} {
		h, err := windows.GetStdHandle(which)
		var mode uint32
		if err == nil && windows.GetConsoleMode(h, &mode) == nil {
			_ = windows.SetConsoleMode(h, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING)
		}
	}
}
