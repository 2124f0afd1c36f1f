package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/dimse"
)

func getCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "get STUDY[/SERIES[/INSTANCE]]...",
		Short: "Retrieve from a DICOM node or a DICOMweb server into a directory",
		Long: `Retrieve studies, series or instances, named by their UIDs, from a DICOM node (by C-GET)
or a DICOMweb server into a directory: STUDY/SERIES/INSTANCE.dcm.

` + targetHelp,
		Args: cobra.MinimumNArgs(1),
	}
	target := addTargetFlags(cmd)
	asJSON := addJSONFlag(cmd)
	cmd.Flags().StringVar(&dir, "out", ".", "directory for the files")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		refs, err := parseRefs(args)
		if err != nil {
			return usageError{err}
		}
		g := &getter{dir: dir, report: reporterFor(cmd, *asJSON, "get"), count: make(map[verdict]int64)}
		return g.run(cmd, target, refs)
	}
	return cmd
}

func parseRefs(args []string) ([]dicom.Ref, error) {
	refs := make([]dicom.Ref, len(args))
	for i, arg := range args {
		parts := strings.Split(arg, "/")
		for _, p := range parts {
			if len(parts) > 3 || !dicom.UID(p).Valid() {
				return nil, fmt.Errorf("%q does not name anything: write UIDs as STUDY, STUDY/SERIES or STUDY/SERIES/INSTANCE", arg)
			}
		}
		parts = append(parts, "", "")
		refs[i] = dicom.Ref{Study: dicom.UID(parts[0]), Series: dicom.UID(parts[1]), Instance: dicom.UID(parts[2])}
	}
	return refs, nil
}

// getter writes what arrives.
type getter struct {
	dir    string
	report *reporter
	count  map[verdict]int64
}

func (g *getter) run(cmd *cobra.Command, target *targetFlags, refs []dicom.Ref) error {
	web, err := target.choose(cmd)
	if err != nil {
		return err
	}
	if web {
		err = target.server.get(cmd, refs, g.receive)
	} else {
		err = g.fromNode(cmd, target, refs)
	}
	g.report.finish(g.count)
	if err == nil && g.count[failed] > 0 {
		return partlyError{fmt.Errorf("%d instances failed", g.count[failed])}
	}
	return err
}

func (g *getter) fromNode(cmd *cobra.Command, target *targetFlags, refs []dicom.Ref) error {
	d, err := target.dialer(cmd)
	if err != nil {
		return err
	}
	c, err := d.dial(cmd.Context(), dimse.OfferGet(dimse.StudyRoot, commonClasses(), commonSyntaxes...)...)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		got, getErr := c.Get(cmd.Context(), dimse.StudyRoot, identifierOf(ref), g.receive, nil)
		if getErr != nil {
			err = errors.Join(err, getErr)
			break
		}
		for _, uid := range got.Failed {
			g.note(string(uid), failed, errors.New("the node could not send it"))
		}
	}
	return errors.Join(err, c.Release(context.WithoutCancel(cmd.Context())), c.Close())
}

// identifierOf asks for one entity (PS3.4 §C.4.3.1.3.1).
func identifierOf(ref dicom.Ref) *dicom.Dataset {
	d := dicom.NewDataset()
	level := archive.StudyLevel
	d.SetText(dict.StudyInstanceUID, dict.UI, string(ref.Study))
	if ref.Series != "" {
		level = archive.SeriesLevel
		d.SetText(dict.SeriesInstanceUID, dict.UI, string(ref.Series))
	}
	if ref.Instance != "" {
		level = archive.InstanceLevel
		d.SetText(dict.SOPInstanceUID, dict.UI, string(ref.Instance))
	}
	d.SetText(dict.QueryRetrieveLevel, dict.CS, level.String())
	return d
}

// commonClasses are the storage classes that are proposed: those in use first, since an
// association has room for 127 of them.
func commonClasses() []dicom.UID {
	var current, retired []dicom.UID
	for c := range dict.StorageClasses() {
		if c.Retired {
			retired = append(retired, dicom.UID(c.Value))
			continue
		}
		current = append(current, dicom.UID(c.Value))
	}
	return append(current, retired...)
}

// commonSyntaxes are proposed for each class, so that images come as they are stored.
var commonSyntaxes = func() []dicom.UID {
	var all []dicom.UID
	for _, ts := range dicom.TransferSyntaxes() {
		all = append(all, ts.UID)
	}
	return all
}()

// receive writes one instance. Its place is made of UIDs alone, so that nothing that is
// received can name a place outside the directory.
func (g *getter) receive(_ context.Context, _, instance dicom.UID, r io.Reader) error {
	in, err := archive.ReadIncoming(r)
	if err == nil {
		err = g.write(in)
	}
	if err != nil {
		g.note(string(instance), failed, err)
		return err
	}
	g.note(string(instance), added, nil)
	return nil
}

func (g *getter) write(in *archive.Incoming) error {
	dir := filepath.Join(g.dir, string(in.Ref.Study), string(in.Ref.Series))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".arriving-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone after the rename
	_, err = in.WriteTo(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(dir, string(in.Ref.Instance)+".dcm"))
}

func (g *getter) note(name string, v verdict, err error) {
	g.count[v]++
	g.report.file(name, v, err)
}
