package main

import (
	"io"
	"log/slog"
	"os"
)

// newLogger writes text for people and JSON for machines. What is logged holds no
// patient data: handlers log no query strings, no attributes and no names.
func newLogger(c Log, w io.Writer) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // it was checked before
	options := &slog.HandlerOptions{Level: level}
	f, isFile := w.(*os.File)
	if c.Format == "json" || c.Format == "auto" && !(isFile && onTerminal(f)) {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
