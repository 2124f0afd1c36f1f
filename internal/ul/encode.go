package ul

import (
	"encoding/binary"
	"fmt"
	"math"
)

// encoder appends PDUs to buf. The first value that does not fit its length
// field is kept as err.
type encoder struct {
	buf []byte
	err error
}

// append appends the A-ASSOCIATE-RQ PDU to b. It fails with ErrTooLarge when a
// value does not fit its field.
func (rq *AssociateRQ) append(b []byte) ([]byte, error) {
	e := encoder{buf: b}
	start := e.openPDU(pduAssociateRQ)
	e.associateHeader(rq.ProtocolVersion, rq.CalledAET, rq.CallingAET)
	e.text(itemApplicationContext, rq.ApplicationContext)
	for _, c := range rq.Contexts {
		item := e.open(itemContextRQ)
		e.bytes(c.ID, 0, 0, 0)
		e.text(itemAbstractSyntax, c.AbstractSyntax)
		for _, ts := range c.TransferSyntaxes {
			e.text(itemTransferSyntax, ts)
		}
		e.close(item)
	}
	e.userInformation(&rq.User)
	e.closePDU(start)
	return e.buf, e.err
}

func (ac *AssociateAC) append(b []byte) ([]byte, error) {
	e := encoder{buf: b}
	start := e.openPDU(pduAssociateAC)
	e.associateHeader(ac.ProtocolVersion, ac.CalledAET, ac.CallingAET)
	e.text(itemApplicationContext, ac.ApplicationContext)
	for _, c := range ac.Contexts {
		item := e.open(itemContextAC)
		e.bytes(c.ID, 0, byte(c.Result), 0)
		e.text(itemTransferSyntax, c.TransferSyntax)
		e.close(item)
	}
	e.userInformation(&ac.User)
	e.closePDU(start)
	return e.buf, e.err
}

func (e *encoder) associateHeader(version uint16, called, calling string) {
	e.uint16(version)
	e.bytes(0, 0)
	e.title(called)
	e.title(calling)
	e.buf = append(e.buf, make([]byte, 32)...)
}

func (e *encoder) userInformation(u *UserInformation) {
	user := e.open(itemUserInformation)
	item := e.open(itemMaximumLength)
	e.buf = binary.BigEndian.AppendUint32(e.buf, u.MaxLength)
	e.close(item)
	if u.ImplementationClassUID != "" {
		e.text(itemImplementationUID, u.ImplementationClassUID)
	}
	if u.AsyncWindow != nil {
		item := e.open(itemAsyncWindow)
		e.uint16(u.AsyncWindow.Invoked)
		e.uint16(u.AsyncWindow.Performed)
		e.close(item)
	}
	for _, r := range u.Roles {
		item := e.open(itemRoleSelection)
		e.counted(r.SOPClassUID)
		e.bytes(flag(r.SCU), flag(r.SCP))
		e.close(item)
	}
	if u.ImplementationVersionName != "" {
		e.text(itemImplementationName, u.ImplementationVersionName)
	}
	for _, x := range u.Extended {
		item := e.open(itemExtended)
		e.counted(x.SOPClassUID)
		e.bytes(x.Info...)
		e.close(item)
	}
	for _, x := range u.CommonExtended {
		e.commonExtended(&x)
	}
	e.identity(u)
	e.close(user)
}

func (e *encoder) commonExtended(x *CommonExtendedNegotiation) {
	item := e.open(itemCommonExtended)
	e.counted(x.SOPClassUID)
	e.counted(x.ServiceClassUID)
	list := e.openCount()
	for _, uid := range x.RelatedSOPClasses {
		e.counted(uid)
	}
	e.closeCount(list)
	e.close(item)
}

func (e *encoder) identity(u *UserInformation) {
	if id := u.Identity; id != nil {
		item := e.open(itemUserIdentityRQ)
		e.bytes(byte(id.Type), flag(id.ResponseRequired))
		e.counted(string(id.Primary))
		e.counted(string(id.Secondary))
		e.close(item)
	}
	if u.IdentityResponse != nil {
		item := e.open(itemUserIdentityAC)
		e.counted(string(u.IdentityResponse))
		e.close(item)
	}
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func (e *encoder) bytes(b ...byte) { e.buf = append(e.buf, b...) }

func (e *encoder) uint16(v uint16) { e.buf = binary.BigEndian.AppendUint16(e.buf, v) }

// title appends an AE title of 16 bytes, padded with spaces.
func (e *encoder) title(s string) {
	const size = 16
	if len(s) > size {
		e.fail("AE title", len(s))
		s = s[:size]
	}
	e.buf = append(e.buf, s...)
	for range size - len(s) {
		e.buf = append(e.buf, ' ')
	}
}

// text appends an item whose whole content is s.
func (e *encoder) text(typ byte, s string) {
	item := e.open(typ)
	e.buf = append(e.buf, s...)
	e.close(item)
}

// counted appends a 16-bit length and s.
func (e *encoder) counted(s string) {
	at := e.openCount()
	e.buf = append(e.buf, s...)
	e.closeCount(at)
}

// open starts an item and returns where its content begins, for close.
func (e *encoder) open(typ byte) int {
	e.bytes(typ, 0)
	return e.openCount()
}

func (e *encoder) close(at int) { e.closeCount(at) }

func (e *encoder) openCount() int {
	e.uint16(0)
	return len(e.buf)
}

func (e *encoder) closeCount(at int) {
	n := len(e.buf) - at
	if n > math.MaxUint16 {
		e.fail("item", n)
		return
	}
	binary.BigEndian.PutUint16(e.buf[at-2:], uint16(n))
}

func (e *encoder) openPDU(typ byte) int {
	e.bytes(typ, 0, 0, 0, 0, 0)
	return len(e.buf)
}

func (e *encoder) closePDU(at int) {
	binary.BigEndian.PutUint32(e.buf[at-4:], uint32(len(e.buf)-at))
}

func (e *encoder) fail(what string, n int) {
	if e.err == nil {
		e.err = fmt.Errorf("%w: %s of %d bytes", ErrTooLarge, what, n)
	}
}

// appendControl appends one of the PDUs of fixed size: A-ASSOCIATE-RJ,
// A-RELEASE-RQ, A-RELEASE-RP or A-ABORT. The three values follow its first
// reserved byte.
func appendControl(b []byte, typ byte, v [3]byte) []byte {
	return append(b, typ, 0, 0, 0, 0, controlPDUSize, 0, v[0], v[1], v[2])
}
