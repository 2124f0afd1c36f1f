package main

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// childAttributes put a peer into a process group of its own, so that Ctrl-C reaches it
// through us only, and make it end if we are killed.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// dataSync makes what was written durable, by fdatasync(2).
func dataSync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// settle lets the kernel write what an earlier measurement left, so that the next does
// not pay for it.
func settle() { unix.Sync() }

// blocksWritten is the bytes that a process, which has ended, caused to be written.
func blocksWritten(u *syscall.Rusage) int64 { return u.Oublock * 512 }
