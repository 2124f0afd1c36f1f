package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"pharos/internal/access"
	"pharos/internal/identity"
)

const (
	adminName     = "admin"
	firstPassword = "first-password"
)

// createAdmin makes the first administrator, if there are no accounts yet. Its password
// is shown once on the terminal. Without a terminal it goes to a file that only the
// owner of the data directory can read: what is written to a log stays there.
func createAdmin(ctx context.Context, c *Config, store identity.Store, terminal *os.File, log *slog.Logger) error {
	users, err := store.Users(ctx)
	if err != nil || len(users) > 0 {
		return err
	}
	password, show, err := chooseAdminPassword(c)
	if err != nil {
		return err
	}
	if show && !onTerminal(terminal) {
		// Written before the account is made: a password that nobody can learn would
		// lock everybody out.
		path := dataDir(c.Data).file(firstPassword)
		if err := writePrivate(path, password+"\n"); err != nil {
			return fmt.Errorf("first password: %w", err)
		}
		log.InfoContext(ctx, "administrator created; change the password by: pharos user password "+adminName,
			slog.String("user", adminName), slog.String("password_file", path))
	}
	if err := addAccount(ctx, store, adminName, password, access.Everything); err != nil {
		return err
	}
	if show && onTerminal(terminal) {
		fmt.Fprintf(terminal, "\nAn administrator was created. This is shown only once:\n\n    user      %s\n    password  %s\n\n", adminName, password)
	}
	return nil
}

// chooseAdminPassword takes the one that the configuration names, or a random one, which
// has to be shown.
func chooseAdminPassword(c *Config) (password string, show bool, err error) {
	if c.AdminPasswordFile == "" {
		return identity.NewPassword(), true, nil
	}
	password, err = readSecret(c.AdminPasswordFile)
	if err != nil {
		return "", false, fmt.Errorf("admin_password_file: %w", err)
	}
	return password, false, nil
}

func addAccount(ctx context.Context, store identity.Store, name, password string, may access.Action) error {
	hash, err := identity.HashPassword(password)
	if err != nil {
		return fmt.Errorf("account %s: %w", name, err)
	}
	return store.AddUser(ctx, identity.User{Name: name, Password: hash, May: may, Created: time.Now().UTC().Truncate(time.Second)})
}

// writePrivate writes a file that only its owner can read, in place of what was there.
func writePrivate(path, text string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Sync(), f.Close())
}
