package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTicks is the unit of times in /proc/PID/stat, which is the same on every
// architecture that Go runs on (USER_HZ, proc(5)).
const clockTicks = 100

// consumption is what a process has used so far.
type consumption struct {
	cpu     time.Duration
	peak    int64 // bytes resident at most since resetPeak
	written int64 // bytes it caused to be written to the disk
}

// resetPeak makes the kernel forget how much memory the process had at most
// (clear_refs, proc(5)).
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// consumptionOf reads the accounts of a process.
func consumptionOf(pid int) (consumption, error) {
	var c consumption
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return c, err
	}
	// The name, in parentheses, may hold anything; what follows it is numbers from field 3.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return c, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	for _, text := range fields[11:13] { // utime and stime
		ticks, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return c, err
		}
		c.cpu += time.Duration(ticks) * time.Second / clockTicks
	}
	kilobytes, err := procNumber(pid, "status", "VmHWM:")
	if err != nil {
		return c, err
	}
	c.peak = kilobytes << 10
	c.written, err = procNumber(pid, "io", "write_bytes:")
	return c, err
}

// procNumber is the number behind a name in a file of /proc/PID.
func procNumber(pid int, file, name string) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0, err
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), name); ok {
			return strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("/proc/%d/%s has no %s", pid, file, name)
}

// observe measures what the peer uses while f runs.
func (p *peer) observe(f func() (sample, error)) (sample, error) {
	pid := p.cmd.Process.Pid
	if err := resetPeak(pid); err != nil {
		return sample{}, err
	}
	before, err := consumptionOf(pid)
	if err != nil {
		return sample{}, err
	}
	s, err := f()
	if err != nil {
		return s, fmt.Errorf("%s: %w", p.name, err)
	}
	after, err := consumptionOf(pid)
	s.cpu = after.cpu - before.cpu
	s.peak = after.peak
	s.written = after.written - before.written
	return s, err
}
