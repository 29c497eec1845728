//go:build !linux

package main

import "time"

func sleepUntil(at int64) { time.Sleep(time.Duration(at - now())) }
