package main

import (
	"fmt"
	"os"
	"time"
)

// log is an append-only file with group commit: whatever arrived while the last sync ran goes into the next write.
// It is the least that durable can cost: no index, no check, no recovery.
type log struct {
	file    *os.File
	delay   time.Duration
	entries chan entry
}

type entry struct {
	from *member
	data []byte
}

func openLog(path string, delay time.Duration) (*log, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	l := &log{file: f, delay: delay, entries: make(chan entry, 4096)}
	go l.run()
	return l, nil
}

// run is the writer; a file that fails ends the program, as nothing could be acknowledged any more.
func (l *log) run() {
	var group []entry
	var buf []byte
	for first := range l.entries {
		group = append(group[:0], first)
		for more := true; more && len(group) < cap(l.entries); {
			select {
			case e := <-l.entries:
				group = append(group, e)
			default:
				more = false
			}
		}
		buf = buf[:0]
		for _, e := range group {
			buf = append(append(buf, e.data...), '\n')
		}
		_, err := l.file.Write(buf)
		if err == nil {
			err = datasync(l.file)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "relayref: log:", err)
			os.Exit(1)
		}
		if l.delay > 0 {
			time.Sleep(l.delay)
		}
		for _, e := range group {
			e.from.pass(e.data)
		}
	}
}
