//go:build unix && !linux

package main

import (
	"os"
	"syscall"
)

// childAttributes put a peer into a process group of its own, so that Ctrl-C reaches it
// through us only.
func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// dataSync makes what was written durable.
func dataSync(f *os.File) error { return f.Sync() }

// settle is for Linux only.
func settle() {}

// blocksWritten is for Linux only; elsewhere the unit is another.
func blocksWritten(*syscall.Rusage) int64 { return 0 }
