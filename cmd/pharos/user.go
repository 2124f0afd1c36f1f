package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"pharos/internal/access"
	"pharos/internal/identity"
)

const defaultRights = "find,retrieve"

func userCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add, list and remove accounts, change passwords",
		Long: `Add, list and remove accounts, change passwords.

Changes take effect at once, also in a server that is running. A password is asked for
on the terminal, or read from the first line of standard input.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(userAddCommand(), userListCommand(), userPasswordCommand(), userRemoveCommand())
	return cmd
}

// accountsCommand makes a command that works on the accounts of a data directory.
func accountsCommand(use, short string, args cobra.PositionalArgs, run func(*cobra.Command, []string, dataDir, identity.Store) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: args}
	addConfigFlag(cmd)
	addSettingFlags(cmd.Flags(), "data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		l, err := configOf(cmd)
		if err != nil {
			return err
		}
		dir := dataDir(l.Data)
		store, err := dir.accounts()
		if err != nil {
			return err
		}
		return run(cmd, args, dir, store)
	}
	return cmd
}

func userAddCommand() *cobra.Command {
	var may string
	cmd := accountsCommand("add NAME", "Add an account", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, _ dataDir, store identity.Store) error {
			rights, err := identity.ParseRights(may)
			if err != nil {
				return usageError{fmt.Errorf("--may: %w", err)}
			}
			if !identity.ValidName(args[0]) {
				return usageError{fmt.Errorf("user name %q: it has 1 to 64 letters, digits and . _ - @", args[0])}
			}
			password, err := askPassword(cmd.InOrStdin(), "Password for "+args[0])
			if err != nil {
				return err
			}
			return addUser(cmd, store, args[0], password, rights)
		})
	cmd.Flags().StringVar(&may, "may", defaultRights, "its rights: find, retrieve, store, delete, administer, or everything")
	return cmd
}

func addUser(cmd *cobra.Command, store identity.Store, name, password string, may access.Action) error {
	hash, err := identity.HashPassword(password)
	if err != nil {
		return err
	}
	return store.AddUser(cmd.Context(), identity.User{Name: name, Password: hash, May: may, Created: time.Now().UTC()})
}

func userListCommand() *cobra.Command {
	var asJSON *bool
	cmd := accountsCommand("list", "List accounts", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, _ dataDir, store identity.Store) error {
			users, err := store.Users(cmd.Context())
			if err != nil {
				return err
			}
			return printUsers(cmd.OutOrStdout(), users, *asJSON)
		})
	asJSON = addJSONFlag(cmd)
	return cmd
}

func printUsers(w io.Writer, users []identity.User, asJSON bool) error {
	table := newTable(w)
	if !asJSON {
		fmt.Fprintln(table, "NAME\tMAY\tCREATED")
	}
	for _, u := range users {
		if !asJSON {
			fmt.Fprintf(table, "%s\t%s\t%s\n", u.Name, u.May, u.Created.Format(time.DateOnly))
			continue
		}
		err := printJSON(w, struct {
			Name    string    `json:"name"`
			May     string    `json:"may"`
			Created time.Time `json:"created"`
		}{u.Name, u.May.String(), u.Created})
		if err != nil {
			return err
		}
	}
	return table.Flush()
}

func userPasswordCommand() *cobra.Command {
	return accountsCommand("password NAME", "Change a password", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, dir dataDir, store identity.Store) error {
			if _, err := store.User(cmd.Context(), args[0]); err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			password, err := askPassword(cmd.InOrStdin(), "New password for "+args[0])
			if err != nil {
				return err
			}
			hash, err := identity.HashPassword(password)
			if err != nil {
				return err
			}
			if err := store.SetPassword(cmd.Context(), args[0], hash); err != nil {
				return err
			}
			if args[0] != adminName {
				return nil
			}
			err = os.Remove(dir.file(firstPassword)) // it is worthless now
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
}

func userRemoveCommand() *cobra.Command {
	return accountsCommand("remove NAME", "Remove an account", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, _ dataDir, store identity.Store) error {
			return store.RemoveUser(cmd.Context(), args[0])
		})
}

// askPassword asks on the terminal without echo, or reads a line.
func askPassword(in io.Reader, prompt string) (string, error) {
	if f, ok := in.(*os.File); ok && onTerminal(f) {
		fmt.Fprint(os.Stderr, prompt+": ")
		text, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(os.Stderr)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		return string(text), nil
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxSecret)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", usageError{errors.New("no password was given: write it to standard input")}
	}
	return line, nil
}
