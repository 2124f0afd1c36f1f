package main

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"pharos/internal/dimse"
)

func sendCommand() *cobra.Command {
	var workers int
	cmd := &cobra.Command{
		Use:   "send PATH...",
		Short: "Send DICOM files to a DICOM node or a DICOMweb server",
		Long: `Send DICOM files, and those below directories, to a DICOM node or a DICOMweb server.

` + targetHelp + ` What is not DICOM is
skipped.`,
		Args: cobra.MinimumNArgs(1),
	}
	target := addTargetFlags(cmd)
	asJSON := addTransferFlags(cmd, &workers)
	cmd.RunE = func(cmd *cobra.Command, paths []string) error {
		open, err := target.sinks(cmd)
		if err != nil {
			return err
		}
		t := &transfer{paths: paths, workers: max(1, workers), open: open, report: reporterFor(cmd, *asJSON, "send")}
		return t.run(cmd.Context())
	}
	return cmd
}

// sinks returns what opens a way to the other side, one for each worker.
func (t *targetFlags) sinks(cmd *cobra.Command) (func(context.Context) (sink, error), error) {
	web, err := t.choose(cmd)
	if err != nil {
		return nil, err
	}
	if web {
		return t.server.sinks(cmd)
	}
	d, err := t.dialer(cmd)
	if err != nil {
		return nil, err
	}
	return func(context.Context) (sink, error) { return &nodeSink{dialer: d}, nil }, nil
}

// nodeSink sends by C-STORE. It keeps its association as long as that was negotiated
// for the kinds of instances that come, and asks for one more kind when one comes up.
type nodeSink struct {
	*dialer
	client *dimse.Client // nil when there is no association
	kinds  []dimse.Kind  // what it was negotiated for
}

func (s *nodeSink) put(ctx context.Context, path string) (verdict, error) {
	f, err := os.Open(path)
	if err != nil {
		return failed, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return failed, err
	}
	object, err := dimse.FileObject(f, info.Size())
	if err != nil {
		return failed, err
	}
	if err := s.connect(ctx, object.Kind); err != nil {
		return failed, fatalError{err}
	}
	if _, err := s.client.Store(ctx, object); err != nil {
		return failed, s.after(err)
	}
	return sent, nil
}

// connect makes sure of an association for a kind of instance.
func (s *nodeSink) connect(ctx context.Context, k dimse.Kind) error {
	if s.client != nil && slices.Contains(s.kinds, k) {
		return nil
	}
	if err := s.close(ctx); err != nil {
		return err
	}
	if !slices.Contains(s.kinds, k) {
		s.kinds = append(s.kinds, k)
	}
	batches := dimse.OfferStore(s.kinds)
	if len(batches) > 1 { // more kinds than an association has room for
		s.kinds = []dimse.Kind{k}
		batches = dimse.OfferStore(s.kinds)
	}
	client, err := s.dial(ctx, batches[0].Offers...)
	s.client = client
	return err
}

// after gives the association up unless it can be used on.
func (s *nodeSink) after(err error) error {
	var refused *dimse.StatusError
	if errors.As(err, &refused) || errors.Is(err, dimse.ErrNotOffered) || errors.Is(err, dimse.ErrTranscode) {
		return err
	}
	_ = s.client.Close() // it is broken already
	s.client = nil
	return err
}

// close releases the association, if there is one.
func (s *nodeSink) close(ctx context.Context) error {
	if s.client == nil {
		return nil
	}
	err := errors.Join(s.client.Release(ctx), s.client.Close())
	s.client = nil
	return err
}
