package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binaryVariable names the program that the tests run.
const binaryVariable = "PHAROS_E2E_BINARY"

// TestMain builds the program, unless one is given.
func TestMain(m *testing.M) {
	// DCMTK otherwise waits 40 ms for an acknowledgement in every message.
	if err := os.Setenv("TCP_NODELAY", "1"); err != nil {
		panic(err)
	}
	if os.Getenv(binaryVariable) != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "pharos-e2e-")
	if err != nil {
		panic(err)
	}
	code := 1
	if err := build(filepath.Join(dir, "pharos")); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir) // in the temporary directory
	os.Exit(code)
}

func build(path string) error {
	out, err := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", path, "pharos/cmd/pharos").CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.Setenv(binaryVariable, path)
}
