package dicomtest

import (
	"crypto/sha256"
	"fmt"
	"math/big"

	"pharos/internal/dicom"
)

// Option changes what an instance is made of.
type Option func(*config)

type config struct {
	patient  Patient
	study    string
	date     string
	uids     [3]dicom.UID // study, series, instance; empty ones are derived
	series   int
	instance int
	rows     int
	cols     int
	frames   int
	extra    []*dicom.Element
}

// WithPatient makes it an instance of p; the default is the first of Patients.
func WithPatient(p Patient) Option { return func(c *config) { c.patient = p } }

// WithStudy names the study within its patient. The name becomes the Study Description.
func WithStudy(name string) Option { return func(c *config) { c.study = name } }

// WithDate sets Study Date and the dates that follow it, as YYYYMMDD.
func WithDate(date string) Option { return func(c *config) { c.date = date } }

// WithSeries sets Series Number.
func WithSeries(number int) Option { return func(c *config) { c.series = number } }

// WithInstance sets Instance Number, which is also the position of a slice.
func WithInstance(number int) Option { return func(c *config) { c.instance = number } }

// WithUIDs sets the UIDs of study, series and instance. An empty one is derived.
func WithUIDs(study, series, instance dicom.UID) Option {
	return func(c *config) { c.uids = [3]dicom.UID{study, series, instance} }
}

// WithSize sets Rows and Columns.
func WithSize(rows, cols int) Option { return func(c *config) { c.rows, c.cols = rows, cols } }

// WithFrames sets Number of Frames of the multi-frame kinds.
func WithFrames(n int) Option { return func(c *config) { c.frames = n } }

// With puts elements into the finished data set.
func With(elements ...*dicom.Element) Option {
	return func(c *config) { c.extra = append(c.extra, elements...) }
}

// configure applies options to the defaults of a kind of instance.
func configure(rows, cols, frames int, opts []Option) *config {
	c := &config{patient: firstPatient(), study: "Synthetic study", date: "20260102", series: 1, instance: 1, rows: rows, cols: cols, frames: frames}
	for _, o := range opts {
		o(c)
	}
	return c
}

// UID derives a UID below 2.25 from parts: the same one from the same parts.
func UID(parts ...any) dicom.UID {
	sum := sha256.Sum256(fmt.Append(nil, parts...))
	b := sum[:16]
	b[6] = b[6]&0x0F | 0x80 // a version 8 UUID (RFC 9562), of the variant there
	b[8] = b[8]&0x3F | 0x80
	return dicom.UID("2.25." + new(big.Int).SetBytes(b).String())
}

// names settles the UIDs.
func (c *config) names(modality string) (study, series, instance dicom.UID) {
	study, series, instance = c.uids[0], c.uids[1], c.uids[2]
	if study == "" {
		study = UID("study", c.patient.ID, c.study)
	}
	if series == "" {
		series = UID("series", string(study), modality, c.series)
	}
	if instance == "" {
		instance = UID("instance", string(series), modality, c.instance)
	}
	return study, series, instance
}
