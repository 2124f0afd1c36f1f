package ul

import (
	"errors"
	"io"
)

// OpenDataSet returns the data set that follows the command set just received
// in the same presentation context. It must be called before the next Receive,
// and only if the command says that there is a data set. The reader is valid
// until the next Receive.
func (a *Association) OpenDataSet(id byte) *DataSetReader {
	a.data.open = true
	a.data.context = id
	a.data.last = false
	a.data.err = nil
	return &a.data
}

// DataSetReader reads the fragments of one data set as they arrive. It ends
// with io.EOF after the last fragment; an association that ends before that is
// never io.EOF.
type DataSetReader struct {
	a       *Association
	open    bool
	last    bool // the current fragment is the last one
	context byte
	err     error
}

var _ io.WriterTo = (*DataSetReader)(nil)

// Read implements io.Reader. Reads of 64 KiB and more go straight from the
// connection to p.
func (r *DataSetReader) Read(p []byte) (int, error) {
	r.a.rmu.Lock()
	defer r.a.rmu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.fragment(); err != nil {
		return 0, err
	}
	n, err := r.a.br.Read(p[:min(int64(len(p)), r.a.pdv.left)])
	r.consumed(n)
	if err != nil {
		r.err = cutShort(r.a.readEnded(err))
		return n, r.err
	}
	return n, nil
}

// WriteTo implements io.WriterTo: w gets the bytes from the buffer of the
// connection without another copy. An error of w leaves the rest unread.
func (r *DataSetReader) WriteTo(w io.Writer) (int64, error) {
	r.a.rmu.Lock()
	defer r.a.rmu.Unlock()
	var total int64
	for {
		err := r.fragment()
		if errors.Is(err, io.EOF) {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if _, err := r.a.br.Peek(1); err != nil {
			r.err = cutShort(r.a.readEnded(err))
			return total, r.err
		}
		chunk, _ := r.a.br.Peek(int(min(r.a.pdv.left, int64(r.a.br.Buffered())))) // buffered, so it cannot fail
		n, err := w.Write(chunk)
		_, _ = r.a.br.Discard(n)
		r.consumed(n)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

func (r *DataSetReader) consumed(n int) {
	r.a.pdv.left -= int64(n)
	r.a.pduLeft -= int64(n)
}

// fragment makes sure that the current fragment has bytes left, or returns
// io.EOF after the last one. The caller holds rmu.
func (r *DataSetReader) fragment() error {
	for r.err == nil && r.a.pdv.left == 0 {
		if r.last {
			r.open = false
			r.err = io.EOF
			break
		}
		r.advance()
	}
	return r.err
}

// advance begins the next fragment, which must belong to this data set.
func (r *DataSetReader) advance() {
	a := r.a
	if a.pduLeft == 0 {
		a.t.budget = a.limits.Progress
	}
	if err := a.nextPDV(); err != nil {
		r.err = cutShort(err)
		return
	}
	switch {
	case a.pdv.flags&flagCommand != 0:
		r.err = a.malformed(AbortUnexpectedParameter, "command fragment where a data set is expected")
	case a.pdv.context != r.context:
		r.err = a.malformed(AbortUnexpectedParameter, "data set changes its presentation context")
	}
	r.last = a.pdv.flags&flagLast != 0
}

// skipDataSet reads what the user left of a data set. The caller holds rmu.
func (a *Association) skipDataSet() error {
	r := &a.data
	for r.open {
		err := r.fragment()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n, err := a.br.Discard(int(a.pdv.left))
		r.consumed(n)
		if err != nil {
			r.err = cutShort(a.readEnded(err))
			return r.err
		}
	}
	return nil
}
