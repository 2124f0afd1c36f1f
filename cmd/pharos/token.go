package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pharos/internal/identity"
)

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke bearer tokens for programs",
		Long: `Create, list and revoke bearer tokens for programs.

A token is shown once, when it is created. Changes take effect at once, also in a server
that is running.`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(tokenCreateCommand(), tokenListCommand(), tokenRevokeCommand())
	return cmd
}

func tokenCreateCommand() *cobra.Command {
	var may, expires string
	var asJSON *bool
	cmd := accountsCommand("create NAME", "Create a token and print it", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, _ dataDir, store identity.Store) error {
			rights, err := identity.ParseRights(may)
			if err != nil {
				return usageError{fmt.Errorf("--may: %w", err)}
			}
			lifetime, err := parseLifetime(expires)
			if err != nil {
				return usageError{fmt.Errorf("--expires: %w", err)}
			}
			text, token := identity.NewToken(args[0], rights, time.Now().UTC().Truncate(time.Second), lifetime)
			if err := store.AddToken(cmd.Context(), token); err != nil {
				return err
			}
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), tokenForm(token, text))
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		})
	cmd.Flags().StringVar(&may, "may", defaultRights, "its rights: find, retrieve, store, delete, administer, or everything")
	cmd.Flags().StringVar(&expires, "expires", "90d", "how long it is valid: 12h, 90d, or never")
	asJSON = addJSONFlag(cmd)
	return cmd
}

// parseLifetime understands days too, which time.ParseDuration does not.
func parseLifetime(text string) (time.Duration, error) {
	if text == "never" {
		return 0, nil
	}
	var lifetime time.Duration
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n > 36500 {
			return 0, fmt.Errorf("%q is no number of days", text)
		}
		lifetime = time.Duration(n) * 24 * time.Hour
	} else {
		var err error
		if lifetime, err = time.ParseDuration(text); err != nil {
			return 0, fmt.Errorf("%q is no duration: write it like 12h, 90d, or never", text)
		}
	}
	if lifetime <= 0 {
		return 0, errors.New("it must be positive")
	}
	return lifetime, nil
}

type tokenJSON struct {
	Name    string    `json:"name"`
	Token   string    `json:"token,omitempty"`
	May     string    `json:"may"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	Used    time.Time `json:"used,omitzero"`
	Revoked time.Time `json:"revoked,omitzero"`
}

func tokenForm(t identity.Token, text string) tokenJSON {
	return tokenJSON{Name: t.Name, Token: text, May: t.May.String(), Created: t.Created, Expires: t.Expires, Used: t.Used, Revoked: t.Revoked}
}

func tokenListCommand() *cobra.Command {
	var asJSON *bool
	cmd := accountsCommand("list", "List tokens", cobra.NoArgs,
		func(cmd *cobra.Command, _ []string, _ dataDir, store identity.Store) error {
			tokens, err := store.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			return printTokens(cmd.OutOrStdout(), tokens, *asJSON)
		})
	asJSON = addJSONFlag(cmd)
	return cmd
}

func printTokens(w io.Writer, tokens []identity.Token, asJSON bool) error {
	table := newTable(w)
	if !asJSON {
		fmt.Fprintln(table, "NAME\tMAY\tCREATED\tEXPIRES\tUSED\tSTATE")
	}
	for _, t := range tokens {
		if asJSON {
			if err := printJSON(w, tokenForm(t, "")); err != nil {
				return err
			}
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", t.Name, t.May,
			t.Created.Format(time.DateOnly), dayOr(t.Expires, "never"), dayOr(t.Used, "never"), tokenState(t, time.Now()))
	}
	return table.Flush()
}

func tokenState(t identity.Token, now time.Time) string {
	switch {
	case !t.Revoked.IsZero():
		return "revoked"
	case !t.Valid(now):
		return "expired"
	}
	return "valid"
}

func dayOr(t time.Time, otherwise string) string {
	if t.IsZero() {
		return otherwise
	}
	return t.Format(time.DateOnly)
}

func tokenRevokeCommand() *cobra.Command {
	return accountsCommand("revoke NAME", "Revoke a token for good", cobra.ExactArgs(1),
		func(cmd *cobra.Command, args []string, _ dataDir, store identity.Store) error {
			return store.RevokeToken(cmd.Context(), args[0], time.Now().UTC().Truncate(time.Second))
		})
}
