package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/dimse"
)

// question is what find asks.
type question struct {
	level  archive.Level
	keys   []queryKey
	limit  int
	asJSON bool
}

// queryKey is an attribute with the text that it must match; empty matches everything.
type queryKey struct {
	tag  dicom.Tag
	text string
}

func findCommand() *cobra.Command {
	var level, fields string
	q := question{}
	cmd := &cobra.Command{
		Use:   "find [KEYWORD=TEXT...]",
		Short: "Query a DICOM node or a DICOMweb server",
		Long: `Query a DICOM node or a DICOMweb server.

` + targetHelp + ` Conditions name
attributes by keyword or tag and match as in DICOM: * and ? are wildcards, and dates have
ranges, as in
    pharos find --node PACS@10.0.0.5:104 PatientName='DOE*' StudyDate=20260101-`,
	}
	target := addTargetFlags(cmd)
	cmd.Flags().StringVar(&level, "level", "study", "patient (nodes only), study, series or instance")
	cmd.Flags().StringVar(&fields, "return", "", "further attributes to return, separated by commas")
	cmd.Flags().IntVar(&q.limit, "limit", 0, "at most so many results; 0 for all")
	asJSON := addJSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, conditions []string) error {
		q.asJSON = *asJSON
		if err := q.parse(level, conditions, fields); err != nil {
			return usageError{err}
		}
		return find(cmd, target, &q)
	}
	return cmd
}

func (q *question) parse(level string, conditions []string, fields string) error {
	var ok bool
	if q.level, ok = levels[level]; !ok {
		return fmt.Errorf("--level: %q is not known: choose from patient, study, series, instance", level)
	}
	for _, name := range append(slices.Clone(defaultFields[q.level]), splitList(fields)...) {
		if err := q.add(name + "="); err != nil {
			return err
		}
	}
	for _, c := range conditions {
		if err := q.add(c); err != nil {
			return err
		}
	}
	return nil
}

// add asks for an attribute, or for another text of it.
func (q *question) add(condition string) error {
	name, text, ok := strings.Cut(condition, "=")
	tag, known := parseTag(name)
	if !ok || !known {
		return fmt.Errorf("%q is no condition: write it like PatientID=4711 or 00100020=4711", condition)
	}
	for i := range q.keys {
		if q.keys[i].tag == tag {
			q.keys[i].text = text
			return nil
		}
	}
	q.keys = append(q.keys, queryKey{tag, text})
	return nil
}

// defaultFields are the columns of the answer.
var defaultFields = map[archive.Level][]string{
	archive.PatientLevel:  {"PatientID", "PatientName", "PatientBirthDate", "PatientSex"},
	archive.StudyLevel:    {"StudyInstanceUID", "StudyDate", "PatientID", "PatientName", "ModalitiesInStudy", "StudyDescription", "NumberOfStudyRelatedInstances"},
	archive.SeriesLevel:   {"StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances"},
	archive.InstanceLevel: {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber"},
}

func find(cmd *cobra.Command, target *targetFlags, q *question) error {
	web, err := target.choose(cmd)
	if err != nil {
		return err
	}
	if web {
		results, err := target.server.find(cmd, q)
		if err != nil {
			return err
		}
		return q.print(cmd.OutOrStdout(), results)
	}
	d, err := target.dialer(cmd)
	if err != nil {
		return err
	}
	root := dimse.StudyRoot
	if q.level == archive.PatientLevel {
		root = dimse.PatientRoot
	}
	offer := dimse.OfferFind(root)
	offer.Relational = true
	c, err := d.dial(cmd.Context(), offer)
	if err != nil {
		return err
	}
	err = q.print(cmd.OutOrStdout(), c.Find(cmd.Context(), root, q.identifier()))
	return errors.Join(err, c.Release(context.WithoutCancel(cmd.Context())), c.Close())
}

// identifier is the question as C-FIND asks it (PS3.4 §C.4.1.1.3.1).
func (q *question) identifier() *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
	d.SetText(dict.QueryRetrieveLevel, dict.CS, q.level.String())
	for _, k := range q.keys {
		if k.text == "" {
			d.SetBytes(k.tag, dict.VROf(k.tag), nil)
			continue
		}
		d.SetText(k.tag, dict.VROf(k.tag), k.text)
	}
	return d
}

// print writes the matches as they come: a JSON object on each line, or a table.
func (q *question) print(w io.Writer, results iter.Seq2[*dicom.Dataset, error]) error {
	table := newTable(w)
	if !q.asJSON {
		fmt.Fprintln(table, strings.Join(q.columns(), "\t"))
	}
	n := 0
	for d, err := range results {
		if err != nil {
			return errors.Join(err, table.Flush())
		}
		if q.asJSON {
			_, err = w.Write(append(dicom.AppendJSON(nil, d, 1<<20, nil), '\n'))
		} else {
			_, err = fmt.Fprintln(table, strings.Join(q.row(d), "\t"))
		}
		if n++; err != nil || n == q.limit {
			return errors.Join(err, table.Flush())
		}
	}
	return table.Flush()
}

func (q *question) columns() []string {
	names := make([]string, len(q.keys))
	for i, k := range q.keys {
		e, ok := dict.Lookup(k.tag)
		if names[i] = e.Keyword; !ok || e.Keyword == "" {
			names[i] = k.tag.String()
		}
	}
	return names
}

func (q *question) row(d *dicom.Dataset) []string {
	cells := make([]string, len(q.keys))
	for i, k := range q.keys {
		text := strings.Join(d.Texts(k.tag), "\\")
		cells[i] = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7F { // a value must not steer the terminal
				return '?'
			}
			return r
		}, text)
	}
	return cells
}
