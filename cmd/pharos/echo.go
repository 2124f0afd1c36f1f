package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"pharos/internal/dimse"
)

func echoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "echo --node NODE",
		Short: "Ask a DICOM node whether it is there",
		Args:  cobra.NoArgs,
	}
	target := addNodeFlags(cmd)
	asJSON := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := target.choose(cmd); err != nil {
			return err
		}
		d, err := target.dialer(cmd)
		if err != nil {
			return err
		}
		start := time.Now()
		if err := echo(cmd.Context(), d); err != nil {
			return err
		}
		took := time.Since(start)
		if *asJSON {
			return printJSON(cmd.OutOrStdout(), struct {
				AET     string  `json:"aet"`
				Seconds float64 `json:"seconds"`
			}{d.node.AETitle, took.Seconds()})
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s answered after %v\n", d.node.AETitle, took.Round(time.Microsecond))
		return err
	}
	return cmd
}

func echo(ctx context.Context, d *dialer) error {
	c, err := d.dial(ctx, dimse.OfferEcho())
	if err != nil {
		return err
	}
	err = c.Echo(ctx)
	return errors.Join(err, c.Release(ctx), c.Close())
}
