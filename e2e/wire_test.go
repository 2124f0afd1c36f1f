package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// This file speaks DICOM byte by byte, so that tests can also say what no library would.

// SOP classes and transfer syntaxes by their UIDs (PS3.6 §A).
const (
	verification     = "1.2.840.10008.1.1"
	ctImageStorage   = "1.2.840.10008.5.1.4.1.1.2"
	studyRootFind    = "1.2.840.10008.5.1.4.1.2.2.1"
	studyRootMove    = "1.2.840.10008.5.1.4.1.2.2.2"
	applicationName  = "1.2.840.10008.3.1.1.1"
	implicitLE       = "1.2.840.10008.1.2"
	explicitLE       = "1.2.840.10008.1.2.1"
	deflated         = "1.2.840.10008.1.2.1.99"
	explicitBE       = "1.2.840.10008.1.2.2"
	jpegBaseline     = "1.2.840.10008.1.2.4.50"
	receiveTime      = 20 * time.Second
	maxReceivedPDU   = 1 << 20
	largestDataValue = 16 << 10
)

// The types of PDUs (PS3.8 §9.3).
const (
	pduAssociateRQ = 1
	pduAssociateAC = 2
	pduAssociateRJ = 3
	pduData        = 4
	pduReleaseRQ   = 5
	pduReleaseRP   = 6
	pduAbort       = 7
)

// pdu makes a PDU.
func pdu(kind byte, content ...[]byte) []byte {
	body := bytes.Join(content, nil)
	return append(binary.BigEndian.AppendUint32([]byte{kind, 0}, uint32(len(body))), body...)
}

// item makes an item of an A-ASSOCIATE PDU (PS3.8 §9.3.2).
func item(kind byte, content ...[]byte) []byte {
	body := bytes.Join(content, nil)
	return append(binary.BigEndian.AppendUint16([]byte{kind, 0}, uint16(len(body))), body...)
}

// proposal is a presentation context.
type proposal struct {
	id       byte
	abstract string
	syntaxes []string
}

func (p proposal) item() []byte {
	parts := [][]byte{{p.id, 0, 0, 0}, item(0x30, []byte(p.abstract))}
	for _, s := range p.syntaxes {
		parts = append(parts, item(0x40, []byte(s)))
	}
	return item(0x20, parts...)
}

// request is an A-ASSOCIATE-RQ whose every part can be spoiled.
type request struct {
	version         uint16
	called, calling string // 16 bytes
	application     string
	contexts        []proposal
	maxPDU          uint32
}

// goodRequest asks for the contexts in implicit and explicit little endian, with odd ids
// from 1 on.
func goodRequest(abstract ...string) request {
	r := request{version: 1, called: archiveAET, calling: testerAET, application: applicationName, maxPDU: 16384}
	for i, a := range abstract {
		r.contexts = append(r.contexts, proposal{byte(2*i + 1), a, []string{explicitLE}})
	}
	return r
}

func (r request) bytes() []byte {
	fixed := binary.BigEndian.AppendUint16(nil, r.version)
	fixed = append(fixed, 0, 0)
	fixed = append(fixed, fmt.Sprintf("%-16.16s%-16.16s", r.called, r.calling)...)
	fixed = append(fixed, make([]byte, 32)...)
	parts := [][]byte{fixed, item(0x10, []byte(r.application))}
	for _, c := range r.contexts {
		parts = append(parts, c.item())
	}
	user := item(0x50, item(0x51, binary.BigEndian.AppendUint32(nil, r.maxPDU)), item(0x52, []byte("2.25.1")))
	return pdu(pduAssociateRQ, append(parts, user)...)
}

// association is one that a test keeps by hand.
type association struct {
	t       *testing.T
	conn    net.Conn
	results map[byte]byte // of the contexts: 0 is accepted
	syntax  map[byte]string
}

// dial connects to the DICOM port without a word.
func (s *site) dial() *association {
	s.t.Helper()
	return s.dialFrom("127.0.0.1")
}

// dialFrom is dial from an address of the loopback interface.
func (s *site) dialFrom(address string) *association {
	s.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	conn, err := dialer.Dial("tcp", s.dicom)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &association{t: s.t, conn: conn}
}

// associate opens an association that must be accepted.
func (s *site) associate(abstract ...string) *association {
	s.t.Helper()
	a := s.dial()
	a.open(goodRequest(abstract...))
	return a
}

// open asks for an association that must be accepted.
func (a *association) open(r request) {
	a.t.Helper()
	a.send(r.bytes())
	kind, body, err := a.receive()
	if err != nil || kind != pduAssociateAC {
		a.t.Fatalf("no A-ASSOCIATE-AC: PDU type %d, % x, %v", kind, body, err)
	}
	a.results, a.syntax = contextResults(body)
}

// contextResults reads the presentation contexts of an A-ASSOCIATE-AC.
func contextResults(body []byte) (results map[byte]byte, syntaxes map[byte]string) {
	results, syntaxes = map[byte]byte{}, map[byte]string{}
	for rest := body[68:]; len(rest) >= 4; {
		n := int(binary.BigEndian.Uint16(rest[2:]))
		if rest[0] == 0x21 {
			results[rest[4]] = rest[6]
			if n > 8 {
				syntaxes[rest[4]] = string(rest[12 : 4+n])
			}
		}
		rest = rest[4+n:]
	}
	return results, syntaxes
}

// send writes bytes. A peer that has closed shows at the next receive.
func (a *association) send(b []byte) {
	_ = a.conn.SetWriteDeadline(time.Now().Add(receiveTime)) // a TCP connection has deadlines
	_, _ = a.conn.Write(b)
}

// receive reads a PDU. The end of the connection is io.EOF.
func (a *association) receive() (kind byte, body []byte, err error) {
	_ = a.conn.SetReadDeadline(time.Now().Add(receiveTime))
	var header [6]byte
	if _, err := io.ReadFull(a.conn, header[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(header[2:])
	if n > maxReceivedPDU {
		return header[0], nil, fmt.Errorf("a PDU of %d bytes", n)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(a.conn, body)
	return header[0], body, err
}

// wantEnd fails unless the peer aborts or closes; within the given time.
func (a *association) wantEnd(within time.Duration, alsoGood ...byte) {
	a.t.Helper()
	deadline := time.Now().Add(within)
	for {
		_ = a.conn.SetReadDeadline(deadline)
		var header [6]byte
		_, err := io.ReadFull(a.conn, header[:])
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			a.t.Errorf("the connection is neither aborted nor closed after %v", within)
			return
		case err != nil:
			return
		case header[0] == pduAbort, bytes.IndexByte(alsoGood, header[0]) >= 0:
			return
		}
		n := int64(binary.BigEndian.Uint32(header[2:]))
		if _, err := io.CopyN(io.Discard, a.conn, n); err != nil {
			return
		}
	}
}

func (a *association) release() {
	a.send(pdu(pduReleaseRQ, make([]byte, 4)))
	_, _, _ = a.receive() // the test is over in either case
	_ = a.conn.Close()
}

// pdv makes a presentation data value (PS3.8 §9.3.5.1, §E.2).
func pdv(context byte, command, last bool, value []byte) []byte {
	var flags byte
	if command {
		flags |= 1
	}
	if last {
		flags |= 2
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(value)+2))
	return append(append(b, context, flags), value...)
}

// command is a command set under construction (PS3.7 §E): elements are added in the
// order of their tags.
type command struct{ bytes.Buffer }

func (c *command) element(element uint16, value []byte) *command {
	b := binary.LittleEndian.AppendUint16([]byte{0, 0}, element)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(value)))
	c.Write(append(b, value...))
	return c
}

func (c *command) uid(element uint16, uid string) *command {
	return c.element(element, even([]byte(uid)))
}

func (c *command) us(element, value uint16) *command {
	return c.element(element, binary.LittleEndian.AppendUint16(nil, value))
}

// whole is the command set with its group length.
func (c *command) whole() []byte {
	var g command
	g.element(0, binary.LittleEndian.AppendUint32(nil, uint32(c.Len())))
	return append(g.Bytes(), c.Bytes()...)
}

func even(b []byte) []byte {
	if len(b)%2 == 1 {
		return append(b, 0)
	}
	return b
}

// Elements of group 0000 (PS3.7 §E.1).
const (
	affectedClass    = 0x0002
	commandField     = 0x0100
	messageID        = 0x0110
	respondedTo      = 0x0120
	moveDestination  = 0x0600
	priority         = 0x0700
	dataSetType      = 0x0800
	statusField      = 0x0900
	affectedInstance = 0x1000

	noDataSet   = 0x0101
	withDataSet = 0x0000
)

// Command fields (PS3.7 §E.1).
const (
	cStoreRQ  = 0x0001
	cFindRQ   = 0x0020
	cMoveRQ   = 0x0021
	cEchoRQ   = 0x0030
	cEchoRSP  = 0x8030
	cCancelRQ = 0x0FFF
)

func echoRequest(id uint16) []byte {
	return new(command).uid(affectedClass, verification).us(commandField, cEchoRQ).us(messageID, id).us(dataSetType, noDataSet).whole()
}

func storeRequest(class, instance string) []byte {
	c := new(command).uid(affectedClass, class).us(commandField, cStoreRQ).us(messageID, 7).us(priority, 0).us(dataSetType, withDataSet)
	if instance != "" {
		c.uid(affectedInstance, instance)
	}
	return c.whole()
}

func findRequest() []byte {
	return new(command).uid(affectedClass, studyRootFind).us(commandField, cFindRQ).us(messageID, 9).us(priority, 0).us(dataSetType, withDataSet).whole()
}

func moveRequest(destination string) []byte {
	return new(command).uid(affectedClass, studyRootMove).us(commandField, cMoveRQ).us(messageID, 11).
		element(moveDestination, []byte(fmt.Sprintf("%-16s", destination))).us(priority, 0).us(dataSetType, withDataSet).whole()
}

// message sends a command, and a data set behind it unless that is nil.
func (a *association) message(context byte, command, data []byte) {
	a.send(pdu(pduData, pdv(context, true, true, command)))
	if data == nil {
		return
	}
	for len(data) > largestDataValue {
		a.send(pdu(pduData, pdv(context, false, false, data[:largestDataValue])))
		data = data[largestDataValue:]
	}
	a.send(pdu(pduData, pdv(context, false, true, data)))
}

// ended is the status of an association that the peer has ended.
const ended = -1

// status is that of the next response that is not pending; ended if the peer aborts or
// closes instead. Data sets are skipped.
func (a *association) status() int {
	a.t.Helper()
	for {
		kind, body, err := a.receive()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			a.t.Fatalf("no answer after %v", receiveTime)
		case err != nil, kind != pduData:
			return ended
		}
		for len(body) >= 6 {
			n := int(binary.BigEndian.Uint32(body))
			if body[5]&1 == 1 {
				if status := statusOf(body[6 : 4+n]); status&0xFF00 != 0xFF00 {
					return status
				}
			}
			body = body[4+n:]
		}
	}
}

// statusOf finds Status in a command set; 0xFFFF without one.
func statusOf(set []byte) int {
	for len(set) >= 8 {
		n := int(binary.LittleEndian.Uint32(set[4:]))
		if binary.LittleEndian.Uint16(set[2:]) == statusField {
			return int(binary.LittleEndian.Uint16(set[8:]))
		}
		set = set[8+n:]
	}
	return 0xFFFF
}

// echo verifies the association over context 1.
func (a *association) echo() int {
	a.t.Helper()
	a.message(1, echoRequest(1), nil)
	return a.status()
}

// store sends a data set in the first context.
func (a *association) store(class, instance string, data []byte) int {
	a.t.Helper()
	a.message(1, storeRequest(class, instance), data)
	return a.status()
}

// datasetOf is the data set of a PS3.10 file, by its group length (PS3.10 §7.1).
func datasetOf(t testing.TB, file []byte) []byte {
	t.Helper()
	if len(file) < 144 || string(file[128:132]) != "DICM" || binary.LittleEndian.Uint32(file[132:]) != 0x00000002 {
		t.Fatalf("no File Meta Information with a group length: % x", file[:min(len(file), 144)])
	}
	return file[144+binary.LittleEndian.Uint32(file[140:]):]
}

// element is one of a data set in explicit little endian, with a length of 16 bits.
func element(tag uint32, vr, value string) []byte {
	b := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
	b = binary.LittleEndian.AppendUint16(b, uint16(tag))
	if len(value)%2 == 1 {
		value += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
	}
	b = append(b, vr...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// identifier is a query of study root.
func identifier(elements ...[]byte) []byte { return bytes.Join(elements, nil) }

// nested is a data set of sequences of undefined length, each in the one before.
func nested(tag uint32, depth int) []byte {
	head := binary.LittleEndian.AppendUint16(nil, uint16(tag>>16))
	head = binary.LittleEndian.AppendUint16(head, uint16(tag))
	head = append(head, "SQ\x00\x00\xff\xff\xff\xff"...)
	head = append(head, "\xfe\xff\x00\xe0\xff\xff\xff\xff"...)
	return []byte(strings.Repeat(string(head), depth))
}
