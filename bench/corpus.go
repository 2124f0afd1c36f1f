package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
	"pharos/internal/dimse"
)

// identity is what tells one instance from another. Each field of it has the same
// length in every instance, so that a template is patched, not encoded anew.
type identity struct {
	study    int
	series   int // within the study
	instance int // within the series
}

// Placeholders for an identity in the templates.
const (
	studyMark     = "2.25.19999999999999999999999999999991"
	seriesMark    = "2.25.29999999999999999999999999999991"
	instanceMark  = "2.25.39999999999999999999999999999991"
	patientMark   = "BENCH9999991"
	nameMark      = "ZZZZZZZZ^YYYYYY"
	dateMark      = "18991231"
	accessionMark = "ACC999999991"
	numberMark    = "77777"
)

// uid makes a UID as long as the placeholders. Numbers of studies are scattered over
// the range, as those that devices choose are, and those within a study are not.
func (id identity) uid(kind int) string {
	scattered := uint64(id.study+1) * 0x9E3779B97F4A7C15 // odd, hence a bijection
	series, instance := id.series, id.instance
	if kind < 3 {
		instance = 0
	}
	if kind < 2 {
		series = 0
	}
	return fmt.Sprintf("2.25.%d%020d%04d%07d", kind, scattered, series, instance)
}

func (id identity) studyUID() string    { return id.uid(1) }
func (id identity) seriesUID() string   { return id.uid(2) }
func (id identity) instanceUID() string { return id.uid(3) }

// A patient has two studies. There are 60 family and 40 given names, and ten years.
func (id identity) patient() string { return fmt.Sprintf("BENCH%07d", id.study/2) }
func (id identity) family() string  { return syllables(id.study/2%60, 4) }
func (id identity) given() string   { return syllables(id.study/120%40, 3) }
func (id identity) name() string    { return id.family() + "^" + id.given() }
func (id identity) date() string {
	day := id.study * 1237 % 3600
	return fmt.Sprintf("%04d%02d%02d", 2014+day/360, 1+day/30%12, 1+day%30%28)
}

// syllables spells a number, each differently from the first letters on.
func syllables(n, count int) string {
	const consonants, vowels = "BDFGKLMNPRST", "AEIOU"
	var b []byte
	for i := range count {
		k := n + 7*i*i
		b = append(b, consonants[k%len(consonants)], vowels[k/len(consonants)%len(vowels)])
	}
	return string(b)
}

// template is an instance without identity: its head with placeholders, then pixels.
type template struct {
	class  dicom.UID
	head   []byte // File Meta Information and data set, to the header of Pixel Data
	meta   int    // how much of it is File Meta Information
	frame  []byte // pixels of one frame
	frames int    // how often they are repeated
	marks  []mark
}

// mark is where a field of the identity stands.
type mark struct {
	at    int
	field func(identity) string
}

// marked are the options of data sets that have placeholders.
func marked(more ...dicomtest.Option) []dicomtest.Option {
	return append([]dicomtest.Option{
		dicomtest.WithUIDs(studyMark, seriesMark, instanceMark),
		dicomtest.WithPatient(dicomtest.Patient{ID: patientMark, Name: nameMark, Sex: "O", Birth: "19500101"}),
		dicomtest.WithDate(dateMark),
	}, more...)
}

// ctTemplate is a slice of so many rows and columns: 512 for 0.5 MB, 96 for 20 kB.
func ctTemplate(size int) (*template, error) {
	return newTemplate(dicomtest.CT(marked(dicomtest.WithSize(size, size))...), 1)
}

// cineTemplate is an ultrasound clip of 720 x 1280 pixels.
func cineTemplate(frames int) (*template, error) {
	return newTemplate(dicomtest.US(marked(dicomtest.WithSize(720, 1280), dicomtest.WithFrames(1))...), frames)
}

// largeTemplate is a clip of frames of 1 MiB.
func largeTemplate(frames int) (*template, error) {
	return newTemplate(dicomtest.US(marked(dicomtest.WithSize(1024, 1024), dicomtest.WithFrames(1))...), frames)
}

// newTemplate makes a template of a data set of one frame, to be repeated.
func newTemplate(ds *dicom.Dataset, frames int) (*template, error) {
	pixels := ds.Get(dict.PixelData)
	t := &template{class: ds.UID(dict.SOPClassUID), frame: pixels.Value, frames: frames}
	ds.Delete(dict.PixelData)
	ds.SetText(dict.AccessionNumber, dict.SH, accessionMark)
	ds.SetText(dict.InstanceNumber, dict.IS, numberMark)
	if ds.Has(dict.NumberOfFrames) {
		ds.SetText(dict.NumberOfFrames, dict.IS, fmt.Sprint(frames))
	}
	head := bytes.NewBuffer(dicom.EncodeFileMeta(t.class, instanceMark, dicom.ExplicitVRLittleEndian, ""))
	t.meta = head.Len()
	if err := dicom.WriteDataset(head, ds, dicom.ExplicitVRLittleEndian, nil); err != nil {
		return nil, err
	}
	length := uint32(len(t.frame) * frames)
	head.Write([]byte{
		0xE0, 0x7F, 0x10, 0x00, 'O', byte(pixels.VR), 0, 0,
		byte(length), byte(length >> 8), byte(length >> 16), byte(length >> 24),
	})
	t.head = head.Bytes()
	t.findMarks()
	return t, nil
}

func (t *template) findMarks() {
	for _, m := range []struct {
		text  string
		field func(identity) string
	}{
		{studyMark, identity.studyUID}, {seriesMark, identity.seriesUID}, {instanceMark, identity.instanceUID},
		{patientMark, identity.patient}, {nameMark, identity.name}, {dateMark, identity.date},
		{accessionMark, func(id identity) string { return fmt.Sprintf("ACC%09d", id.study) }},
		{numberMark, func(id identity) string { return fmt.Sprintf("%05d", id.instance+1) }},
	} {
		for at := 0; ; {
			i := bytes.Index(t.head[at:], []byte(m.text))
			if i < 0 {
				break
			}
			t.marks = append(t.marks, mark{at + i, m.field})
			at += i + len(m.text)
		}
	}
}

// size is the bytes of a file of the template.
func (t *template) size() int64 { return int64(len(t.head)) + int64(len(t.frame))*int64(t.frames) }

// instance is one instance at a time, made from a template in the same memory.
type instance struct {
	*template
	id   identity
	file []byte // the head with the identity of the instance
}

func (t *template) instance() *instance {
	return &instance{template: t, file: bytes.Clone(t.head)}
}

// become turns it into the instance of another identity.
func (i *instance) become(id identity) {
	i.id = id
	for _, m := range i.marks {
		copy(i.file[m.at:], m.field(id))
	}
}

// object is the instance for C-STORE.
func (i *instance) object() dimse.Object {
	return dimse.Object{
		Kind:     i.kind(),
		Instance: dicom.UID(i.id.instanceUID()),
		Dataset: func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(&pieces{now: i.file[i.meta:], frame: i.frame, left: i.frames}), nil
		},
	}
}

func (t *template) kind() dimse.Kind {
	return dimse.Kind{Class: t.class, Syntax: dicom.ExplicitVRLittleEndian}
}

// buffers is the file of the instance as pieces, of which none is copied.
func (i *instance) buffers() net.Buffers {
	b := net.Buffers{i.file}
	for range i.frames {
		b = append(b, i.frame)
	}
	return b
}

// pieces reads a head, then a frame again and again.
type pieces struct {
	now   []byte
	frame []byte
	left  int
}

// Read implements io.Reader.
func (p *pieces) Read(b []byte) (int, error) {
	if len(p.now) == 0 {
		if p.left == 0 {
			return 0, io.EOF
		}
		p.now = p.frame
		p.left--
	}
	n := copy(b, p.now)
	p.now = p.now[n:]
	return n, nil
}
