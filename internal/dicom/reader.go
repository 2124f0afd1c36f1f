package dicom

import (
	"errors"
	"io"
	"slices"
	"strings"

	"pharos/internal/dicom/dict"
)

// Reader reads a PS3.10 file in portions. The order of calls is Meta, then any number
// of ReadUntil with ascending tags, then ReadRest.
//
// What was read before an error is returned with the error; its last element may be
// incomplete. All that is loaded of a portion (values up to Limits.Value, at most
// Limits.Memory in all) stays in memory as long as any of its elements does.
type Reader struct {
	in      *input          // until the data set begins
	bare    *TransferSyntax // of a bare data set
	limits  Limits
	meta    *FileMeta
	scan    *Scanner // of the data set
	charset *Charset // of the outermost data set
	signed  bool     // Pixel Representation is 1 in what is being read
	loaded  int64    // bytes of values in memory
	slab    []Element
	chunk   []byte
	err     error

	// gathers tells which sequences of the outermost data set to gather; nil means all.
	gathers func(Tag) bool
}

// NewReader reads the file from r. Files without preamble or without File Meta
// Information are recognised.
func NewReader(r io.Reader, limits Limits) *Reader {
	return &Reader{in: newInput(r, 0, nil), limits: limits.withDefaults()}
}

// NewDatasetReader reads a bare data set, as it comes in a DIMSE message.
func NewDatasetReader(r io.Reader, ts UID, limits Limits) *Reader {
	syntax := SyntaxOf(ts)
	return &Reader{in: newInput(r, 0, nil), limits: limits.withDefaults(), bare: &syntax}
}

// Tee makes the reader write every byte that it consumes from now on to w, in order
// and exactly once; nil stops that. Bytes that were read ahead but not consumed are
// not written yet. What is consumed has reached w when a portion ends: when Meta,
// ReadUntil or ReadRest returns.
//
// In a deflated syntax w gets the deflated bytes. There the inflater is ahead of the
// elements, so that w has more than what they needed; after ReadRest it has all.
func (r *Reader) Tee(w io.Writer) {
	if r.scan != nil {
		r.scan.setTee(w)
		return
	}
	r.in.setTee(w)
}

// Gather makes the reader gather only those sequences of the outermost data set for
// which want is true. The others are walked, so that their encoding is checked, but not
// remembered: functional groups of ten thousand frames cost no memory then.
func (r *Reader) Gather(want func(Tag) bool) { r.gathers = want }

// Meta reads the preamble and the File Meta Information, once. Of a bare data set it
// is made up.
func (r *Reader) Meta() (*FileMeta, error) {
	if r.meta != nil || r.err != nil {
		return r.meta, r.err
	}
	if r.bare != nil {
		r.meta = NewFileMeta("", "", r.bare.UID)
		r.meta.NoPreamble, r.meta.NoMeta, r.meta.Syntax = true, true, *r.bare
	} else {
		meta, err := r.readMeta()
		if err != nil {
			r.err = err
			r.in.flush()
			r.in.release()
			return meta, err
		}
		r.meta = meta
	}
	r.in.flush()
	r.scan = newScanner(r.in, r.meta.Syntax, r.limits)
	return r.meta, nil
}

// ReadUntil gathers the elements whose tags are below stop. The element at stop is
// not consumed. Reading stops at the first element whose tag is not below stop, also
// when elements below it follow, against the order that PS3.5 §7.1 demands.
func (r *Reader) ReadUntil(stop Tag) (*Dataset, error) {
	return r.portion(func(t Tag) bool { return t < stop })
}

// ReadRest gathers what is left, to the end of the input. Values over the limit and
// encapsulated pixel data are skipped and reported as ranges.
func (r *Reader) ReadRest() (*Dataset, error) {
	return r.portion(func(Tag) bool { return true })
}

// Release gives the reader's buffers back for reuse, after writing to the tee what is
// due. It need not be called after ReadRest or an error. The reader cannot be used
// after it.
func (r *Reader) Release() {
	if r.scan != nil {
		r.scan.Release()
		return
	}
	r.in.flush()
	r.in.release()
	r.err = io.ErrClosedPipe
}

// ReadFile reads a whole file: its meta information and its data set. With an error
// comes what was read before it.
func ReadFile(r io.Reader, limits Limits) (*FileMeta, *Dataset, error) {
	in := NewReader(r, limits)
	meta, err := in.Meta()
	if err != nil {
		return nil, nil, err
	}
	ds, err := in.ReadRest()
	return meta, ds, err
}

// ReadDataset reads a whole bare data set. With an error comes what was read before it.
func ReadDataset(r io.Reader, ts UID, limits Limits) (*Dataset, error) {
	return NewDatasetReader(r, ts, limits).ReadRest()
}

// portion gathers the elements of the outermost data set as long as their tags are
// wanted.
func (r *Reader) portion(wanted func(Tag) bool) (*Dataset, error) {
	d := &Dataset{charset: r.charset}
	if _, err := r.Meta(); err != nil {
		return d, err
	}
	err := r.gather(d, wanted)
	d.settle()
	r.charset = d.charset
	if err != nil {
		return d, err
	}
	r.scan.flush()
	return d, r.scan.source().fault
}

func (r *Reader) gather(d *Dataset, wanted func(Tag) bool) error {
	for {
		if tag, ok := r.scan.peekTag(); ok && !wanted(tag) {
			return nil
		}
		tok, err := r.scan.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := r.element(d, tok); err != nil {
			return err
		}
	}
}

// element gathers the element that tok begins.
func (r *Reader) element(d *Dataset, tok Token) error {
	if tok.Kind == SequenceStart && tok.Depth == 0 && r.gathers != nil && !r.gathers(tok.Tag) {
		return r.pass()
	}
	e := r.newElement()
	e.Tag, e.VR, e.Undefined, e.form = tok.Tag, tok.VR, tok.Length == UndefinedLength, tok.form
	if d.elements == nil {
		d.elements = make([]*Element, 0, 16)
	}
	d.add(e)
	switch tok.Kind {
	case SequenceStart:
		return r.sequence(d, e)
	case FragmentsStart:
		return r.fragments(e)
	}
	f := r.scan.top()
	e.bigEndian = f.bigEndian
	if f.implicit && r.signed && e.VR == dict.US && maybeSigned(e.Tag) {
		e.VR = dict.SS
	}
	if err := r.value(e, tok, r.limitFor(tok)); err != nil {
		return err
	}
	switch {
	case e.Tag == dict.SpecificCharacterSet && len(e.Value) > 0:
		d.charset = parseCharsetValue(e.Value)
	case e.Tag == dict.PixelRepresentation && len(e.Value) == 2:
		r.signed = e.Value[0] == 1
	}
	return nil
}

// maybeSigned tells whether the VR of an element is US or SS, whichever Pixel
// Representation says (PS3.5 §A.1). Implicit VR leaves that open.
func maybeSigned(tag Tag) bool {
	entry, _ := dict.Lookup(tag)
	return strings.HasPrefix(entry.VRs, "US or SS")
}

// limitFor is the longest value to load. What decides how others are read, and the
// File Meta Information, is always needed.
func (r *Reader) limitFor(tok Token) int64 {
	switch {
	case tok.Tag == dict.SpecificCharacterSet || tok.Tag == dict.PixelRepresentation:
		return max(r.limits.Value, 1024)
	case tok.Tag.Group() == 0x0002:
		return max(r.limits.Value, defaultValueLimit)
	case tok.Depth == 0 && isPixelData(tok.Tag):
		return r.limits.Pixels
	}
	return r.limits.Value
}

// isPixelData reports whether the tag is one of those of PS3.3 §C.7.6.3 that hold pixels.
func isPixelData(t Tag) bool {
	return t == dict.PixelData || t == dict.FloatPixelData || t == dict.DoubleFloatPixelData
}

// value loads the value that tok is about, or notes where it lies.
func (r *Reader) value(e *Element, tok Token, limit int64) error {
	n := int64(tok.Length)
	if n == 0 {
		return nil
	}
	if n > limit || r.loaded+n > r.limits.Memory {
		e.Bulk = &Range{Offset: tok.Value, Length: n}
		return nil
	}
	v, err := r.load(n)
	if err != nil {
		return err
	}
	r.loaded += n
	e.Value = v
	if e.bigEndian {
		swapBytes(v, e.VR.Unit())
	}
	return nil
}

// load reads the current value, of n bytes. Small ones share chunks.
func (r *Reader) load(n int64) ([]byte, error) {
	const chunkSize = 8 << 10
	switch {
	case n > bufferSize:
		return r.scan.Load(n)
	case n > chunkSize/4:
		return r.scan.loadInto(make([]byte, n))
	case int64(len(r.chunk)) < n:
		r.chunk = make([]byte, chunkSize)
	}
	v := r.chunk[:n:n]
	r.chunk = r.chunk[n:]
	return r.scan.loadInto(v)
}

// pass walks a sequence of the outermost data set to its end.
func (r *Reader) pass() error {
	for {
		tok, err := r.scan.Next()
		if err != nil {
			return err
		}
		if tok.Kind == SequenceEnd && tok.Depth == 0 {
			return nil
		}
	}
}

// newElement takes one from a slab.
func (r *Reader) newElement() *Element {
	if len(r.slab) == 0 {
		r.slab = make([]Element, 64)
	}
	e := &r.slab[0]
	r.slab = r.slab[1:]
	return e
}

// sequence gathers the items of e, to its end.
func (r *Reader) sequence(d *Dataset, e *Element) error {
	e.Items = []*Dataset{}
	for {
		tok, err := r.scan.Next()
		if err != nil {
			return err
		}
		if tok.Kind == SequenceEnd {
			return nil
		}
		item := &Dataset{charset: d.charset, Undefined: tok.Length == UndefinedLength}
		e.Items = append(e.Items, item)
		err = r.item(item)
		item.settle()
		if err != nil {
			return err
		}
	}
}

// item gathers the elements of an item, to its end.
func (r *Reader) item(item *Dataset) error {
	outside := r.signed
	defer func() { r.signed = outside }()
	for {
		tok, err := r.scan.Next()
		if err != nil {
			return err
		}
		if tok.Kind == ItemEnd {
			return nil
		}
		if err := r.element(item, tok); err != nil {
			return err
		}
	}
}

// fragments notes where the fragments of e lie and loads the Basic Offset Table.
func (r *Reader) fragments(e *Element) error {
	for {
		tok, err := r.scan.Next()
		if err != nil {
			return err
		}
		if tok.Kind == FragmentsEnd {
			return nil
		}
		at := Range{Offset: tok.Value, Length: int64(tok.Length)}
		if len(e.Fragments) == 0 {
			if err := r.offsetTable(e, at.Length); err != nil {
				return err
			}
		}
		e.Fragments = append(e.Fragments, at)
	}
}

// offsetTable loads the first fragment, of n bytes, when it may be loaded and is an
// offset table: a value that is no pixel data need not have one.
func (r *Reader) offsetTable(e *Element, n int64) error {
	if n == 0 || n%4 != 0 || r.limits.Value < 0 || r.loaded+n > r.limits.Memory {
		return nil
	}
	v, err := r.scan.Load(n)
	r.loaded += n
	e.Value = v
	return err
}

// swapBytes turns the order of the bytes of each unit, in place. A rest that is not a
// unit stays.
func swapBytes(v []byte, unit int) {
	switch unit {
	case 2:
		for i := 0; i+1 < len(v); i += 2 {
			v[i], v[i+1] = v[i+1], v[i]
		}
	case 4, 8:
		for ; len(v) >= unit; v = v[unit:] {
			slices.Reverse(v[:unit])
		}
	}
}
