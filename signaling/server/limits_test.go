package server

import (
	"testing"
	"time"
)

// TestDefaultsAreTheTable: the numbers of the security design, written a second time.
func TestDefaultsAreTheTable(t *testing.T) {
	want := Limits{
		Hello: 5 * time.Second, Ping: 12 * time.Second, Dead: 27 * time.Second, Write: 10 * time.Second,
		Unproven: 1000, IPSockets: 1000, IPNew: 200, FailedProofs: 10, FailedPause: 10 * time.Minute,
		CustomerSockets: 5, AgentSockets: 16, OutboxLen: 256, OutboxBytes: 1 << 20,
		SocketPerSecond: 50, SocketBurst: 200, CustomerPerSecond: 5, CustomerBurst: 20, CustomerPerHour: 600,
		AgentPerSecond: 20, AgentBurst: 100, GlobalPerSecond: 8000, GlobalBurst: 16000, TypingPerSecond: 5,
		RefusalsToClose: 200, ConversationsPerHourIP: 30, Queue: 500,
		SignalsPerWindow: 60, RestartsPerMin: 6,
	}
	if got := DefaultLimits(); got != want {
		t.Errorf("the defaults are\n%+v, want\n%+v", got, want)
	}
	for name, c := range map[string]struct{ got, want any }{
		"header": {headerBytes, 8192}, "URL": {urlBytes, 2048}, "body": {bodyBytes, 65536}, "hello": {helloBytes, 4096},
		"bad messages": {badToClose, 3}, "reserve": {fdReserve, 800}, "new sockets' window": {ipNewWindow, 10 * time.Second},
		"failed proofs' window": {failedWindow, time.Minute}, "candidates": {maxCandidates, 30}, "description": {maxDescription, 16384},
		"TCP user timeout": {tcpUserTimeout, 30 * time.Second}, "drain": {drainPerSecond, 500}, "spread": {spreadPerSec, 2000},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", name, c.got, c.want)
		}
	}
	if DefaultLimits().validate() != nil {
		t.Error("the defaults are refused")
	}
}

func TestLimitsThatCannotWorkAreRefused(t *testing.T) {
	for name, change := range map[string]func(*Limits){
		"one is missing":      func(l *Limits) { l.OutboxLen = 0 },
		"one is negative":     func(l *Limits) { l.IPNew = -1 },
		"dead before a ping":  func(l *Limits) { l.Dead = l.Ping },
		"no time for a hello": func(l *Limits) { l.Hello = 0 },
	} {
		l := DefaultLimits()
		change(&l)
		if l.validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestDrainIsOverInTime: 500 a second, and more where that would take too long.
func TestDrainIsOverInTime(t *testing.T) {
	for _, c := range []struct{ sockets, slice int }{{0, 50}, {1, 50}, {500, 50}, {10000, 50}, {10001, 51}, {19200, 96}, {100000, 500}} {
		got := drainSliceSize(c.sockets)
		if got != c.slice {
			t.Errorf("%d sockets: slices of %d, want %d", c.sockets, got, c.slice)
		}
		if slices := (c.sockets + got - 1) / got; time.Duration(slices)*drainSlice > drainTime {
			t.Errorf("%d sockets: %d slices take more than %s", c.sockets, slices, drainTime)
		}
	}
}
