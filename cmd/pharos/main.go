// Command pharos is the archive and its tools. See README.md and "pharos help".
//
// The files here wire the packages together; nothing else knows which implementation
// stands behind which interface:
//
//	main.go, config*.go            commands, settings
//	serve.go                       start, run and stop of the server
//	wire.go, dicom.go, http.go     storage, the DICOM side, the HTTP side
//	metrics.go, log.go             what operators see
//	import.go … token.go           one file per command
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// version is set by the linker.
var version = "dev"

// The exit codes.
const (
	exitDone    = 0
	exitFailed  = 1
	exitUsage   = 2
	exitPartly  = 3
	exitStopped = 130
)

// usageError says that the command line or the configuration is wrong.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// partlyError says that a command did its work but for what it reported.
type partlyError struct{ error }

func (e partlyError) Unwrap() error { return e.error }

func main() { os.Exit(run(os.Args[1:])) }

// signalPause is how long a second signal counts as part of the first: timeout(1) and
// some supervisors signal the process and then its group.
const signalPause = time.Second

// run executes a command line and returns the exit code. The first SIGINT or SIGTERM
// asks the command to come to an end; another one later ends the process.
func run(args []string) int {
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, func() { time.AfterFunc(signalPause, restore) })

	understood := false
	root := rootCommand(&understood)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pharos: "+err.Error())
	}
	code := exitCode(err, understood)
	if code == exitUsage && !understood {
		fmt.Fprintln(os.Stderr, "pharos help tells what there is.")
	}
	return code
}

func exitCode(err error, understood bool) int {
	var usage usageError
	var partly partlyError
	switch {
	case err == nil:
		return exitDone
	case !understood, errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &partly):
		return exitPartly
	case errors.Is(err, context.Canceled):
		return exitStopped
	}
	return exitFailed
}

// rootCommand builds the tree of commands. understood is set once the command line
// was, so that errors before count as errors of usage.
func rootCommand(understood *bool) *cobra.Command {
	root := &cobra.Command{
		Use:   "pharos",
		Short: "An archive for medical images",
		Long: `Pharos keeps medical images, finds them and gives them back, over DICOM and DICOMweb.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 done but for what was
reported, 130 interrupted.`,
		Version:           version,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
		PersistentPreRun:  func(*cobra.Command, []string) { *understood = true },
	}
	root.AddCommand(
		serveCommand(), configCommand(), versionCommand(),
		userCommand(), tokenCommand(), importCommand(), fsckCommand(), reindexCommand(),
		sendCommand(), findCommand(), getCommand(), echoCommand(),
	)
	return root
}

// addConfigFlag gives a command --config.
func addConfigFlag(cmd *cobra.Command) {
	cmd.Flags().String("config", "", "configuration file (YAML); or PHAROS_CONFIG")
}

// configOf loads the configuration of a command from its flags and the environment.
func configOf(cmd *cobra.Command) (*loaded, error) {
	return loadConfig(cmd.Flags(), os.Environ())
}
