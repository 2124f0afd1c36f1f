package ul

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// readBufferSize is what one association keeps for reading. It is large enough
// that a system call costs little per byte and small enough for hundreds of
// associations.
const readBufferSize = 64 << 10

// Association is an established association, on either side.
//
// One goroutine reads: it calls Receive, OpenDataSet, the methods of the
// DataSetReader, Arrived and Pending. Any goroutine may send; whole messages are
// serialised. Abort, Release, Close and the accessors may be called from any
// goroutine. Whoever got an Association must call Close.
type Association struct {
	limits    Limits
	requestor bool
	session   any
	request   *AssociateRQ
	response  *AssociateAC
	contexts  []AcceptedContext
	accepted  [256]bool
	fragment  int // greatest even fragment of a PDV that the peer can receive
	idle      atomic.Int64
	tornDown  atomic.Bool // the transport connection is closed

	t  transport
	br *bufio.Reader

	mu    sync.Mutex // guards the state machine
	state state
	artim time.Time // when the ARTIM timer expires; zero when it is stopped
	err   error     // why the association ended

	rmu      sync.Mutex // guards the reading side
	pduLeft  int64      // bytes of the current PDU that are not yet read
	lost     bool       // where the next PDU begins is not known any more
	pdv      pdv
	command  []byte
	data     DataSetReader
	watching chan struct{} // belongs to the reading goroutine

	smu sync.Mutex // held while a message is sent

	wmu    sync.Mutex // held while PDUs are written
	final  bool       // the last PDU of this side is sent; an A-ABORT may follow
	broken bool       // nothing more can be sent
}

// AcceptedContext is a presentation context as negotiated, accepted or not.
type AcceptedContext struct {
	ID             byte
	AbstractSyntax string
	TransferSyntax string // empty unless Result is Acceptance
	Result         Result
	SCU, SCP       bool // the roles that this side of the association may play
}

func newAssociation(conn net.Conn, limits Limits, requestor bool) *Association {
	a := &Association{limits: limits, requestor: requestor, state: sta1}
	a.t.conn = conn
	a.br = bufio.NewReaderSize(&a.t, readBufferSize)
	a.idle.Store(int64(limits.Idle))
	a.data.a = a
	return a
}

// CallingAET returns the AE title of the requestor.
func (a *Association) CallingAET() string { return a.request.CallingAET }

// CalledAET returns the AE title under which the requestor called the acceptor.
func (a *Association) CalledAET() string { return a.request.CalledAET }

// RemoteAddr returns the address of the peer.
func (a *Association) RemoteAddr() net.Addr { return a.t.conn.RemoteAddr() }

// LocalAddr returns the address of this side.
func (a *Association) LocalAddr() net.Addr { return a.t.conn.LocalAddr() }

// TLS returns the state of the TLS connection, nil when there is none.
func (a *Association) TLS() *tls.ConnectionState { return tlsState(a.t.conn) }

func tlsState(conn net.Conn) *tls.ConnectionState {
	c, ok := conn.(*tls.Conn)
	if !ok {
		return nil
	}
	s := c.ConnectionState()
	return &s
}

// Request returns the A-ASSOCIATE-RQ with its user identity and extended
// negotiation. It must not be changed.
func (a *Association) Request() *AssociateRQ { return a.request }

// Response returns the A-ASSOCIATE-AC. It must not be changed.
func (a *Association) Response() *AssociateAC { return a.response }

// Session returns what Negotiate put into Decision.Session; nil on the
// requestor's side.
func (a *Association) Session() any { return a.session }

// PeerMaxPDU returns the maximum length that the peer announced for P-DATA-TF
// PDUs, in bytes; 0 is unlimited.
func (a *Association) PeerMaxPDU() uint32 { return a.peer().MaxLength }

// PeerImplementation returns how the peer identified its implementation.
func (a *Association) PeerImplementation() Implementation {
	u := a.peer()
	return Implementation{ClassUID: u.ImplementationClassUID, VersionName: u.ImplementationVersionName}
}

func (a *Association) peer() *UserInformation {
	if a.requestor {
		return &a.response.User
	}
	return &a.request.User
}

// Window returns the negotiated asynchronous operations window from the view of
// the requestor; 1 and 1 when none was negotiated (PS3.7 §D.3.3.3). 0 is
// unlimited.
func (a *Association) Window() AsyncWindow {
	if a.request.User.AsyncWindow == nil || a.response.User.AsyncWindow == nil {
		return AsyncWindow{Invoked: 1, Performed: 1}
	}
	return *a.response.User.AsyncWindow
}

// Contexts returns all presentation contexts in the order of the request, also
// those that were not accepted. The slice must not be changed.
func (a *Association) Contexts() []AcceptedContext { return a.contexts }

// Context returns the accepted presentation context with an ID.
func (a *Association) Context(id byte) (AcceptedContext, bool) {
	if !a.accepted[id] {
		return AcceptedContext{}, false
	}
	for _, c := range a.contexts {
		if c.ID == id {
			return c, true
		}
	}
	return AcceptedContext{}, false
}

// ContextsFor returns the accepted presentation contexts of an abstract syntax,
// in the order of the request.
func (a *Association) ContextsFor(abstractSyntax string) []AcceptedContext {
	var found []AcceptedContext
	for _, c := range a.contexts {
		if c.AbstractSyntax == abstractSyntax && c.Result == Acceptance {
			found = append(found, c)
		}
	}
	return found
}

// SetIdle changes the time that Receive waits for a message, from its next call
// on; negative is unlimited. A service class user that waits for the end of a
// long operation sets it.
func (a *Association) SetIdle(d time.Duration) { a.idle.Store(int64(d)) }

// Err returns why the association ended: ErrReleased, ErrClosed, an *Abort, or
// nil while it is alive.
func (a *Association) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}
