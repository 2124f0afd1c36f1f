package ul

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// decoder takes values off the front of a PDU or item. It never reads past
// the end of what it was given: the first value that would is kept as err, and
// from then on everything is zero and empty.
type decoder struct {
	buf []byte
	err error
}

// decodeRQ decodes what follows the header of an A-ASSOCIATE-RQ PDU. The result
// does not refer to b. Unknown items are skipped (PS3.8 §9.3.1).
func decodeRQ(b []byte) (*AssociateRQ, error) {
	d := decoder{buf: b}
	rq := &AssociateRQ{}
	rq.ProtocolVersion, rq.CalledAET, rq.CallingAET = d.associateHeader()
	seenUser := false
	for typ, item := range d.items {
		switch typ {
		case itemApplicationContext:
			rq.ApplicationContext = uid(item.buf)
		case itemContextRQ:
			rq.Contexts = append(rq.Contexts, item.contextRQ())
		case itemUserInformation:
			item.once(&seenUser)
			item.userInformation(&rq.User)
		}
		d.adopt(item)
	}
	return rq, d.wrap("A-ASSOCIATE-RQ")
}

// decodeAC decodes what follows the header of an A-ASSOCIATE-AC PDU.
func decodeAC(b []byte) (*AssociateAC, error) {
	d := decoder{buf: b}
	ac := &AssociateAC{}
	ac.ProtocolVersion, ac.CalledAET, ac.CallingAET = d.associateHeader()
	seenUser := false
	for typ, item := range d.items {
		switch typ {
		case itemApplicationContext:
			ac.ApplicationContext = uid(item.buf)
		case itemContextAC:
			ac.Contexts = append(ac.Contexts, item.contextAC())
		case itemUserInformation:
			item.once(&seenUser)
			item.userInformation(&ac.User)
		}
		d.adopt(item)
	}
	return ac, d.wrap("A-ASSOCIATE-AC")
}

func (d *decoder) associateHeader() (version uint16, called, calling string) {
	version = d.uint16()
	d.take(2)
	called = title(d.take(16))
	calling = title(d.take(16))
	d.take(32)
	return version, called, calling
}

func (d *decoder) contextRQ() PresentationContext {
	head := d.take(4)
	if d.err != nil {
		return PresentationContext{}
	}
	c := PresentationContext{ID: head[0]}
	for typ, item := range d.items {
		switch typ {
		case itemAbstractSyntax:
			c.AbstractSyntax = uid(item.buf)
		case itemTransferSyntax:
			c.TransferSyntaxes = append(c.TransferSyntaxes, uid(item.buf))
		}
	}
	return c
}

func (d *decoder) contextAC() ContextResult {
	head := d.take(4)
	if d.err != nil {
		return ContextResult{}
	}
	c := ContextResult{ID: head[0], Result: Result(head[2])}
	for typ, item := range d.items {
		if typ == itemTransferSyntax {
			c.TransferSyntax = uid(item.buf)
		}
	}
	return c
}

func (d *decoder) userInformation(u *UserInformation) {
	for typ, item := range d.items {
		switch typ {
		case itemMaximumLength:
			u.MaxLength = item.uint32()
		case itemImplementationUID:
			u.ImplementationClassUID = uid(item.buf)
		case itemImplementationName:
			u.ImplementationVersionName = title(item.buf)
		case itemAsyncWindow:
			u.AsyncWindow = &AsyncWindow{Invoked: item.uint16(), Performed: item.uint16()}
		case itemRoleSelection:
			u.Roles = append(u.Roles, item.role())
		case itemExtended:
			u.Extended = append(u.Extended, ExtendedNegotiation{SOPClassUID: uid(item.counted()), Info: clone(item.buf)})
		case itemCommonExtended:
			u.CommonExtended = append(u.CommonExtended, item.commonExtended())
		case itemUserIdentityRQ:
			u.Identity = item.identity()
		case itemUserIdentityAC:
			u.IdentityResponse = clone(item.counted())
		}
		d.adopt(item)
	}
}

func (d *decoder) role() RoleSelection {
	r := RoleSelection{SOPClassUID: uid(d.counted())}
	if roles := d.take(2); d.err == nil {
		r.SCU, r.SCP = roles[0] == 1, roles[1] == 1
	}
	return r
}

func (d *decoder) commonExtended() CommonExtendedNegotiation {
	x := CommonExtendedNegotiation{SOPClassUID: uid(d.counted()), ServiceClassUID: uid(d.counted())}
	list := decoder{buf: d.counted()}
	for len(list.buf) > 0 && list.err == nil {
		x.RelatedSOPClasses = append(x.RelatedSOPClasses, uid(list.counted()))
	}
	d.adopt(list)
	return x
}

func (d *decoder) identity() *UserIdentity {
	head := d.take(2)
	if d.err != nil {
		return nil
	}
	return &UserIdentity{
		Type:             IdentityType(head[0]),
		ResponseRequired: head[1] == 1,
		Primary:          clone(d.counted()),
		Secondary:        clone(d.counted()),
	}
}

// items iterates over the items that fill the rest of d. The content of each is
// a decoder of its own, whose error the caller adopts or ignores.
func (d *decoder) items(yield func(byte, decoder) bool) {
	for len(d.buf) > 0 && d.err == nil {
		head := d.take(2)
		content := d.counted()
		if d.err != nil || !yield(head[0], decoder{buf: content}) {
			return
		}
	}
}

// adopt makes the error of an item the error of what holds it.
func (d *decoder) adopt(item decoder) {
	if d.err == nil {
		d.err = item.err
	}
}

// once fails when it is called a second time with the same flag.
func (d *decoder) once(seen *bool) {
	if *seen {
		d.err = fmt.Errorf("%w: item occurs twice", ErrMalformed)
	}
	*seen = true
}

func (d *decoder) take(n int) []byte {
	if d.err != nil || n > len(d.buf) {
		if d.err == nil {
			d.err = fmt.Errorf("%w: %d bytes expected, %d left", ErrMalformed, n, len(d.buf))
		}
		d.buf = nil
		return nil
	}
	b := d.buf[:n]
	d.buf = d.buf[n:]
	return b
}

func (d *decoder) uint16() uint16 {
	if b := d.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// counted takes a 16-bit length and that many bytes.
func (d *decoder) counted() []byte { return d.take(int(d.uint16())) }

func (d *decoder) wrap(pdu string) error {
	if d.err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", pdu, d.err)
}

// title removes the padding of an AE title or version name. Leading spaces are
// not significant either (PS3.5 §6.2, AE); some peers pad with NUL.
func title(b []byte) string { return strings.Trim(string(b), " \x00") }

// uid removes padding that does not belong in a UID of the upper layer (PS3.8
// §F) but is sent by some peers.
func uid(b []byte) string { return strings.TrimRight(string(b), " \x00") }

// clone copies b so that the result does not keep the PDU alive; it is never
// nil, which would mean an absent item.
func clone(b []byte) []byte { return append(make([]byte, 0, len(b)), b...) }
