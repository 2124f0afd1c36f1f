package ul

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

const (
	// batchSize is how much is gathered for one write: several PDUs where the
	// peer takes only short ones. It holds two of the longest PDUs sent, so that a
	// short command and the first PDU of its data set always leave together.
	batchSize = 2*(largestSentPDU+pduHeaderSize) + 2048

	// spillSize is the read-ahead of ReadFrom: whether a PDU is the last one is
	// known only when the source says that there is no more.
	spillSize = 4096
)

var batches = sync.Pool{New: func() any { return new([batchSize + spillSize]byte) }}

// Send sends a message that has no data set, in one write.
func (a *Association) Send(id byte, command []byte) error {
	w, err := a.message(id, command)
	if err != nil {
		return err
	}
	defer w.done()
	return w.flush()
}

// SendWithDataSet begins a message: the command set, then what is written to
// the result, which must be closed (or cancelled) before the next message can be
// sent. A command and a data set that fit one PDU each leave in one write.
func (a *Association) SendWithDataSet(id byte, command []byte) (*DataSetWriter, error) {
	w, err := a.message(id, command)
	if err != nil {
		return nil, err
	}
	w.open(0)
	return w, nil
}

// message begins a message and puts the command set into the buffer.
func (a *Association) message(id byte, command []byte) (*DataSetWriter, error) {
	if !a.accepted[id] {
		return nil, fmt.Errorf("%w: %d", ErrNotAccepted, id)
	}
	a.smu.Lock()
	if err := a.Err(); err != nil {
		a.smu.Unlock()
		return nil, err
	}
	w := &DataSetWriter{a: a, batch: batches.Get().(*[batchSize + spillSize]byte), id: id}
	w.open(flagCommand)
	if _, err := w.add(command); err != nil {
		w.done()
		return nil, err
	}
	w.seal(flagLast)
	return w, nil
}

// DataSetWriter sends the data set of a message as fragments that the peer can
// take. It belongs to one goroutine.
//
// The buffer holds whole PDUs of one PDV each, the last of which is being filled:
//
//	| header | command | header | fragment | header | fragm...
//	                                       ^start         ^n
type DataSetWriter struct {
	a     *Association
	batch *[batchSize + spillSize]byte
	id    byte
	kind  byte // flagCommand or 0: what the open PDU carries
	start int  // where the open PDU begins
	n     int  // where the next byte goes
	prev  int  // where the PDU before it begins, if it is of the same kind; else -1
	sent  bool // some of the message is on its way
	err   error
}

var _ io.ReaderFrom = (*DataSetWriter)(nil)

// done ends the message.
func (w *DataSetWriter) done() {
	batches.Put(w.batch)
	w.batch = nil
	w.err = ErrClosed
	w.a.smu.Unlock()
}

// Write implements io.Writer.
func (w *DataSetWriter) Write(p []byte) (int, error) { return w.add(p) }

func (w *DataSetWriter) add(p []byte) (int, error) {
	total := 0
	for len(p) > 0 && w.err == nil {
		if w.room() == 0 && !w.extend() {
			w.turn()
			continue
		}
		n := copy(w.batch[w.n:w.end()], p)
		w.n += n
		p = p[n:]
		total += n
	}
	return total, w.err
}

// ReadFrom implements io.ReaderFrom: r reads into the PDUs themselves.
func (w *DataSetWriter) ReadFrom(r io.Reader) (int64, error) {
	var total int64
	for w.err == nil {
		full := w.room() == 0 && !w.extend()
		dst := w.batch[w.n:w.end()]
		if full {
			dst = w.batch[batchSize:]
		}
		n, err := r.Read(dst)
		total += int64(n)
		switch {
		case full && n > 0:
			_, _ = w.add(dst[:n]) // its error is kept in w.err
		case !full:
			w.n += n
		}
		if errors.Is(err, io.EOF) {
			return total, w.err
		}
		if err != nil {
			return total, err
		}
	}
	return total, w.err
}

// Close sends the rest with the last-fragment flag. Then the message is
// complete.
func (w *DataSetWriter) Close() error {
	if w.batch == nil {
		return w.err
	}
	defer w.done()
	if w.err != nil {
		return w.err
	}
	if w.n == w.start+pduHeaderSize+pdvHeaderSize && w.prev >= 0 {
		w.n, w.start = w.start, w.prev // nothing came after all: the PDU before is the last one
	}
	w.seal(flagLast)
	return w.flush()
}

// Cancel gives up the message, for instance when the source of the data set
// fails. If nothing of it was sent yet, the association stays usable; otherwise
// it is aborted, for there is no way to take back half a message. After Close it
// does nothing, so it can be deferred.
func (w *DataSetWriter) Cancel() {
	if w.batch == nil {
		return
	}
	sent := w.sent
	w.done()
	if sent {
		w.a.Abort()
	}
}

// open begins a PDU in the buffer, which is sent first if it has no room left.
func (w *DataSetWriter) open(kind byte) {
	if !w.fits() && w.flush() != nil {
		return
	}
	w.kind = kind
	w.prev = -1
	w.start = w.n
	w.n += pduHeaderSize + pdvHeaderSize
}

// end returns where the open PDU is full.
func (w *DataSetWriter) end() int {
	return w.start + pduHeaderSize + pdvHeaderSize + w.a.fragment
}

// fits reports whether the buffer has room for one more PDU.
func (w *DataSetWriter) fits() bool {
	return w.n+pduHeaderSize+pdvHeaderSize+w.a.fragment <= batchSize
}

func (w *DataSetWriter) room() int { return w.end() - w.n }

// extend begins another PDU after a full one, if the buffer has room for it.
// The full one is marked as not the last, which Close may take back.
func (w *DataSetWriter) extend() bool {
	if !w.fits() {
		return false
	}
	full := w.start
	w.seal(0)
	w.open(w.kind)
	w.prev = full
	return true
}

// turn sends the full buffer, to which more is to be added, and begins anew.
func (w *DataSetWriter) turn() {
	w.seal(0)
	if w.flush() == nil {
		w.open(w.kind)
	}
}

// seal writes the headers of the open PDU, PS3.8 §9.3.5.
func (w *DataSetWriter) seal(last byte) {
	n := w.n - w.start
	h := w.batch[w.start:]
	h[0], h[1] = pduData, 0
	binary.BigEndian.PutUint32(h[2:], uint32(n-pduHeaderSize))
	binary.BigEndian.PutUint32(h[6:], uint32(n-pduHeaderSize-4))
	h[10], h[11] = w.id, w.kind|last
}

// flush sends the buffer.
func (w *DataSetWriter) flush() error {
	_, err := w.a.fire(evt9, input{pdu: w.batch[:w.n]})
	w.sent, w.n = true, 0
	if err != nil {
		w.err = w.a.sendFailed(err)
	}
	return w.err
}

// sendFailed ends an association that cannot be written to. The reader meets
// the end by itself.
func (a *Association) sendFailed(err error) error {
	if over := a.Err(); over != nil {
		return over
	}
	if errors.Is(err, ErrTimeout) {
		a.abort(err)
	} else {
		_, _ = a.fire(evt17, input{cause: fmt.Errorf("%w: %w", ErrClosed, err)})
		a.tearDown()
	}
	if over := a.Err(); over != nil {
		return over
	}
	return err
}
