package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"pharos": main})
}

// TestScripts runs the scripts against the real program. Beside the commands of
// package testscript they have
//
//	serve [FLAG...]        start the server on data/, wait until it is ready, set $HTTP,
//	                       $DICOM ("host port") and $ADMIN; its log is in serve.log
//	halt [SIGNAL]          ask it to stop and wait; it must exit with 0
//	exits CODE PROGRAM...  run a program that must exit with the code
//	need PROGRAM...        fail in CI where a program is missing; elsewhere scripts skip
//	synthetic DIR N        write N CT instances of one patient, Example^Ada
//	damage FILE TEXT       change one byte after the last occurrence of a text
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": scriptServe, "halt": scriptHalt, "exits": scriptExits,
			"need": scriptNeed, "synthetic": scriptSynthetic, "damage": scriptDamage,
		},
		Setup: func(env *testscript.Env) error {
			env.Values[running{}] = &running{}
			return nil
		},
	})
}

// running is the server of a script.
type running struct {
	cmd *exec.Cmd
	log sync.WaitGroup
}

func scriptServe(ts *testscript.TestScript, _ bool, args []string) {
	r := ts.Value(running{}).(*running)
	args = append([]string{"serve", "--data", "data", "--http", "127.0.0.1:0", "--dicom", "127.0.0.1:0"}, args...)
	r.cmd = exec.Command("pharos", args...)
	r.cmd.Dir = ts.Getenv("WORK")
	r.cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "WORK=" + ts.Getenv("WORK")}
	stderr, err := r.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(r.cmd.Start())
	ts.Defer(func() { _ = r.cmd.Process.Kill() })
	log, err := os.OpenFile(ts.MkAbs("serve.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	ready := make(chan map[string]any, 1)
	r.log.Go(func() {
		defer close(ready)
		defer log.Close()
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			fmt.Fprintln(log, lines.Text())
			var entry map[string]any
			if json.Unmarshal(lines.Bytes(), &entry) == nil && entry["msg"] == "ready" {
				ready <- entry
			}
		}
	})
	select {
	case entry, ok := <-ready:
		if !ok {
			ts.Fatalf("the server ended: %s", ts.ReadFile("serve.log"))
		}
		announceTo(ts, entry)
	case <-time.After(30 * time.Second):
		ts.Fatalf("the server was not ready in time: %s", ts.ReadFile("serve.log"))
	}
}

func announceTo(ts *testscript.TestScript, entry map[string]any) {
	for name, variable := range map[string]string{"http": "HTTP", "admin": "ADMIN"} {
		if addr, ok := entry[name].(string); ok {
			ts.Setenv(variable, addr)
		}
	}
	if addr, ok := entry["dicom"].(string); ok {
		host, port, err := net.SplitHostPort(addr)
		ts.Check(err)
		ts.Setenv("DICOM", host+" "+port)
		ts.Setenv("DICOMHOST", host)
		ts.Setenv("DICOMPORT", port)
	}
}

func scriptHalt(ts *testscript.TestScript, _ bool, args []string) {
	r := ts.Value(running{}).(*running)
	signal := syscall.SIGTERM
	if len(args) == 1 && args[0] == "KILL" {
		signal = syscall.SIGKILL
	}
	ts.Check(r.cmd.Process.Signal(signal))
	r.log.Wait()
	if err := r.cmd.Wait(); err != nil && signal == syscall.SIGTERM {
		ts.Fatalf("the server ended with %v: %s", err, ts.ReadFile("serve.log"))
	}
}

func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("%s exited with %d, want %d", args[1], got, want)
	}
}

func scriptNeed(ts *testscript.TestScript, _ bool, args []string) {
	for _, program := range args {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") != "" {
			ts.Fatalf("%s is not installed", program)
		}
	}
}

func scriptSynthetic(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	for i := range n {
		d := dicomtest.CT(dicomtest.WithStudy("script"), dicomtest.WithInstance(i+1), dicomtest.WithSize(64, 64))
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%04d.dcm", i)))
		ts.Check(err)
		ts.Check(errors.Join(dicomtest.WriteTo(f, d, dicom.ExplicitVRLittleEndian, nil), f.Close()))
		ts.Setenv("STUDY", string(d.UID(0x0020000D)))
	}
}

func scriptDamage(ts *testscript.TestScript, _ bool, args []string) {
	matches, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	for _, path := range matches {
		content, err := os.ReadFile(path)
		ts.Check(err)
		if i := strings.LastIndex(string(content), args[1]); i >= 0 {
			content[i] ^= 0xFF
			ts.Check(os.WriteFile(path, content, 0o600))
			return
		}
	}
	ts.Fatalf("%s holds no %q", args[0], args[1])
}
