package e2e

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// atOnce bounds how long the server may take to end an association over input that
	// is wrong on its face.
	atOnce = 5 * time.Second
	// artim bounds how long it may wait for what does not come (PS3.8 §9.1.5).
	artim = 60 * time.Second
	// maxResident is the most memory that hostile input may make the server take, in MB.
	maxResident = 400
)

// impatient are limits that make waiting short.
const impatient = "limits: {association_idle: 4s, stall: 4s, header_time: 2s, idle: 5s}"

// hostileCase is a row of the table of bad inputs.
type hostileCase struct {
	name string
	run  func(t *testing.T, s *site)
}

// aborted is a case of bytes to which the server must abort, reject or close.
func aborted(name string, parts ...[]byte) hostileCase {
	return hostileCase{name, func(_ *testing.T, s *site) {
		a := s.dial()
		a.send(bytes.Join(parts, nil))
		a.wantEnd(atOnce, pduAssociateRJ)
	}}
}

// abortedAfter is aborted on an association for Verification and CT.
func abortedAfter(name string, parts ...[]byte) hostileCase {
	return hostileCase{name, func(_ *testing.T, s *site) {
		a := s.associate(verification, ctImageStorage)
		a.send(bytes.Join(parts, nil))
		a.wantEnd(atOnce)
	}}
}

// with is a good A-ASSOCIATE-RQ with something spoiled.
func with(spoil func(*request)) []byte {
	r := goodRequest(verification)
	spoil(&r)
	return r.bytes()
}

// answered is a case of a request on an established association to which the server
// answers anything or rejects it, and lives.
func answered(name string, spoil func(*request)) hostileCase {
	return hostileCase{name, func(t *testing.T, s *site) {
		a := s.dial()
		r := goodRequest(verification)
		spoil(&r)
		a.send(r.bytes())
		if _, _, err := a.receive(); err != nil && isTimeout(err) {
			t.Errorf("no answer: %v", err)
		}
	}}
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

func garbage(n int) []byte {
	b := make([]byte, n)
	x := uint32(1)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// overlong is an A-ASSOCIATE-RQ with an item that goes beyond the PDU.
func overlong() []byte {
	b := goodRequest(verification).bytes()
	binary.BigEndian.PutUint16(b[6+68+2:], 0xFFF0)
	return b
}

var associationCases = []hostileCase{
	aborted("D01 random bytes", garbage(4096)),
	aborted("D02 HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
	aborted("D03 unknown PDU type", pdu(0x42, make([]byte, 16))),
	aborted("D04 TLS hello", []byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3}, make([]byte, 507)),
	aborted("D05 A-ASSOCIATE-RQ of 4 bytes", pdu(pduAssociateRQ, []byte{0, 1, 0, 0})),
	aborted("D06 item length beyond the PDU", overlong()),
	aborted("D07 protocol version 0", with(func(r *request) { r.version = 0 })),
	aborted("D08 wrong application context", with(func(r *request) { r.application = "1.2.3.4" })),
	aborted("D09 no presentation context", with(func(r *request) { r.contexts = nil })),
	aborted("D10 P-DATA before the association", pdu(pduData, pdv(1, true, true, echoRequest(1)))),
	aborted("D11 A-RELEASE-RQ before the association", pdu(pduReleaseRQ, make([]byte, 4))),
	aborted("D12 A-ASSOCIATE-AC before the association", append([]byte{pduAssociateAC}, goodRequest(verification).bytes()[1:]...)),
	answered("D14 duplicate context ids", func(r *request) { r.contexts = append(r.contexts, r.contexts[0]) }),
	answered("D14 even context id", func(r *request) { r.contexts[0].id = 2 }),
	answered("D15 abstract syntax of 60 kB", func(r *request) {
		r.contexts = []proposal{{1, strings.Repeat("1", 60_000), []string{implicitLE}}}
	}),
	{"D16 small max PDU", func(t *testing.T, s *site) {
		for size := range uint32(8) {
			a := s.dial()
			r := goodRequest(verification)
			r.maxPDU = size
			a.send(r.bytes())
			if kind, _, err := a.receive(); err != nil || kind != pduAssociateAC {
				continue // refused: good as well
			}
			a.message(1, echoRequest(1), nil)
			_ = a.conn.SetReadDeadline(time.Now().Add(2 * time.Second))
			if n, err := io.Copy(io.Discard, io.LimitReader(a.conn, 64<<10)); n == 64<<10 {
				t.Errorf("max PDU %d: endless answer, %v", size, err)
			}
			_ = a.conn.Close()
		}
	}},
	answered("D17 called AE of spaces", func(r *request) { r.called = "                " }),
	answered("D17 called AE not ASCII", func(r *request) { r.called = "\xff\xfe\x00\x01ÄÖÜ" }),
	answered("D17 calling AE not ASCII", func(r *request) { r.calling = "\xff\xfe\x00\x01'\"<b>" }),
	abortedAfter("D18 PDV of length 0", pdu(pduData, []byte{0, 0, 0, 0})),
	abortedAfter("D19 PDV of length 1", pdu(pduData, []byte{0, 0, 0, 1, 1})),
	abortedAfter("D20 PDV beyond the PDU", pdu(pduData, []byte{0, 0, 0x7F, 0xFF, 1, 3, 0, 0})),
	abortedAfter("D21 context that was not accepted", pdu(pduData, pdv(99, true, true, echoRequest(1)))),
	abortedAfter("D22 truncated command", pdu(pduData, pdv(1, true, true, echoRequest(1)[:20]))),
	{"D23 unsolicited response", func(t *testing.T, s *site) {
		a := s.associate(verification)
		a.message(1, new(command).uid(affectedClass, verification).us(commandField, cEchoRSP).us(respondedTo, 99).us(dataSetType, noDataSet).us(statusField, 0).whole(), nil)
		if status := a.echo(); status != 0 && status != ended {
			t.Errorf("status %04X", status)
		}
	}},
	{"D24 unknown command", func(t *testing.T, s *site) {
		a := s.associate(verification)
		a.message(1, new(command).uid(affectedClass, verification).us(commandField, 0x0777).us(messageID, 3).us(dataSetType, noDataSet).whole(), nil)
		if status := a.status(); status != 0x0211 && status != ended {
			t.Errorf("status %04X", status)
		}
	}},
	{"D25 data before command", func(t *testing.T, s *site) {
		a := s.associate(verification)
		a.send(pdu(pduData, pdv(1, false, true, make([]byte, 100))))
		if status := a.echo(); status != 0 && status != ended {
			t.Errorf("status %04X", status)
		}
	}},
}

// dataset of a CT with one element replaced, in explicit little endian.
func spoiled(t *testing.T, name string, tag uint32, vr, value string) (instance string, dataset []byte) {
	t.Helper()
	k := slice(t, name, 1, 1, 16)
	original := datasetOf(t, k.file)
	head := element(tag, vr, "")[:6]
	i := bytes.Index(original, head)
	if i < 0 {
		t.Fatalf("no element %08X", tag)
	}
	n := int(binary.LittleEndian.Uint16(original[i+6:]))
	return k.instance, bytes.Join([][]byte{original[:i], element(tag, vr, value), original[i+8+n:]}, nil)
}

// refused is a case of C-STORE that must fail with nothing stored.
func refused(name string, make func(t *testing.T) (instance string, dataset []byte)) hostileCase {
	return hostileCase{name, func(t *testing.T, s *site) {
		before := s.count()
		a := s.associate(ctImageStorage)
		instance, dataset := make(t)
		if status := a.store(ctImageStorage, instance, dataset); status == 0 || status&0xF000 == 0xB000 {
			t.Errorf("status %04X", status)
		}
		if after := s.count(); after != before {
			t.Errorf("%d instances, before %d", after, before)
		}
	}}
}

// count is how many instances there are, up to 1,000.
func (s *site) count() int {
	s.t.Helper()
	return len(s.query("/instances?limit=1000"))
}

var storeCases = []hostileCase{
	refused("D26 no SOP Instance UID in the command", func(t *testing.T) (string, []byte) {
		return "", datasetOf(t, slice(t, "D26", 1, 1, 16).file)
	}),
	refused("D27 empty data set", func(*testing.T) (string, []byte) { return "1.2.3", []byte{} }),
	refused("D28 garbage data set", func(*testing.T) (string, []byte) { return "1.2.3", garbage(50_000) }),
	{"D29 SOP Instance UID differs", func(t *testing.T, s *site) {
		k := slice(t, "D29", 1, 1, 16)
		a := s.associate(ctImageStorage)
		status := a.store(ctImageStorage, "1.2.3.4", datasetOf(t, k.file))
		if n := len(s.query("/instances?StudyInstanceUID=" + k.study)); status == 0xA900 && n != 0 || status != 0xA900 && n != 1 {
			t.Errorf("status %04X, %d instances", status, n)
		}
	}},
	refused("D30 path as SOP Instance UID", func(t *testing.T) (string, []byte) {
		const path = "../../../../tmp/pwn"
		_, dataset := spoiled(t, "D30", 0x00080018, "UI", path)
		return path, dataset
	}),
	refused("D30 path as Study Instance UID", func(t *testing.T) (string, []byte) {
		return spoiled(t, "D30", 0x0020000D, "UI", "../../../../tmp/pwn")
	}),
	refused("D31 empty Study Instance UID", func(t *testing.T) (string, []byte) { return spoiled(t, "D31", 0x0020000D, "UI", "") }),
	refused("D31 empty Series Instance UID", func(t *testing.T) (string, []byte) { return spoiled(t, "D31", 0x0020000E, "UI", "") }),
	refused("D32 element of 0xFFFFFFF0 bytes", func(t *testing.T) (string, []byte) {
		k := slice(t, "D32", 1, 1, 16)
		return k.instance, append(datasetOf(t, k.file), 0xE0, 0x7F, 0x10, 0, 'O', 'W', 0, 0, 0xF0, 0xFF, 0xFF, 0xFF, 1, 2, 3, 4)
	}),
	refused("D35 50,000 nested sequences", func(t *testing.T) (string, []byte) {
		k := slice(t, "D35", 1, 1, 16)
		data := datasetOf(t, k.file)
		at := bytes.Index(data, []byte{0x10, 0, 0x10, 0, 'P', 'N'})
		return k.instance, bytes.Join([][]byte{data[:at], nested(0x00081111, 50_000), data[at:]}, nil)
	}),
	{"D39 reset in the middle of a data set, 20 times", func(t *testing.T, s *site) {
		k := slice(t, "D39", 1, 1, 256)
		data := datasetOf(t, k.file)
		for range 20 {
			a := s.associate(ctImageStorage)
			a.send(pdu(pduData, pdv(1, true, true, storeRequest(ctImageStorage, k.instance))))
			a.send(pdu(pduData, pdv(1, false, false, data[:16<<10])))
			_ = a.conn.(*net.TCPConn).SetLinger(0) // so that Close resets
			_ = a.conn.Close()
		}
		if n := len(s.query("/instances?StudyInstanceUID=" + k.study)); n != 0 {
			t.Errorf("%d instances of what never arrived whole", n)
		}
	}},
	{"two associations storing one instance at once", func(t *testing.T, s *site) {
		k := slice(t, "race", 1, 1, 256)
		var both sync.WaitGroup
		for range 8 {
			both.Go(func() {
				a := s.associate(ctImageStorage)
				if status := a.store(ctImageStorage, k.instance, datasetOf(t, k.file)); status != 0 {
					t.Errorf("status %04X", status)
				}
			})
		}
		both.Wait()
		if n := len(s.query("/instances?StudyInstanceUID=" + k.study)); n != 1 {
			t.Errorf("%d instances", n)
		}
	}},
}

// find sends a query of studies and returns the final status.
func (s *site) find(identifier []byte) int {
	s.t.Helper()
	a := s.associate(studyRootFind)
	defer a.conn.Close()
	a.message(1, findRequest(), identifier)
	return a.status()
}

var queryCases = []hostileCase{
	{"D33 garbage as identifier", func(t *testing.T, s *site) {
		if status := s.find(garbage(5000)); status == 0 {
			t.Error("success")
		}
	}},
	{"D34 20,000 UIDs", func(_ *testing.T, s *site) {
		// 64 kB is the most that the VR holds; the rest comes as UN of 32 bits.
		list := strings.Repeat(`1.2.840.99\`, 20_000)
		value := append(binary.LittleEndian.AppendUint32([]byte{0x20, 0, 0x0D, 0, 'U', 'N', 0, 0}, uint32(len(list))), list...)
		s.find(identifier(element(0x00080052, "CS", "STUDY"), value)) // any status, in time
	}},
	{"D34 5,000 UIDs", func(t *testing.T, s *site) {
		list := strings.Repeat(`1.2.840.99\`, 5000)
		if status := s.find(identifier(element(0x00080052, "CS", "STUDY"), element(0x0020000D, "UI", list))); status == ended {
			t.Error("the association was ended")
		}
	}},
	{"D36 5,000 nested sequences", func(t *testing.T, s *site) {
		if status := s.find(identifier(element(0x00080052, "CS", "STUDY"), nested(0x00081111, 5000))); status == 0 {
			t.Error("success")
		}
	}},
	{"D37 C-CANCEL of an unknown id", func(t *testing.T, s *site) {
		a := s.associate(verification, studyRootFind)
		a.message(3, new(command).us(commandField, cCancelRQ).us(respondedTo, 999).us(dataSetType, noDataSet).whole(), nil)
		if status := a.echo(); status != 0 {
			t.Errorf("status %04X", status)
		}
	}},
	{"D38 C-MOVE to an unknown AE", func(t *testing.T, s *site) {
		a := s.associate(studyRootMove)
		a.message(1, moveRequest("NOBODY"), identifier(element(0x00080052, "CS", "STUDY"), element(0x0020000D, "UI", "1.2.3")))
		if status := a.status(); status != 0xA801 {
			t.Errorf("status %04X", status)
		}
	}},
}

// slowCases wait for timers; they run at the same time.
var slowCases = []hostileCase{
	{"D13 PDU of 4 GiB, then nothing", func(_ *testing.T, s *site) {
		a := s.dial()
		a.send([]byte{pduAssociateRQ, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1})
		a.wantEnd(artim)
	}},
	{"D13 P-DATA of 4 GiB, then nothing", func(_ *testing.T, s *site) {
		a := s.associate(verification)
		a.send([]byte{pduData, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 1})
		a.wantEnd(artim)
	}},
	{"D40 50 MB that never end", func(t *testing.T, s *site) {
		a := s.associate(ctImageStorage)
		k := slice(t, "D40", 1, 1, 16)
		a.send(pdu(pduData, pdv(1, true, true, storeRequest(ctImageStorage, k.instance))))
		data := datasetOf(t, k.file)
		head := data[:bytes.Index(data, []byte{0xE0, 0x7F, 0x10, 0})]
		a.send(pdu(pduData, pdv(1, false, false, append(head[:len(head):len(head)], 0xE0, 0x7F, 0x10, 0, 'O', 'W', 0, 0, 0, 0, 0, 0x10))))
		block := pdu(pduData, pdv(1, false, false, make([]byte, largestDataValue)))
		for sent := 0; sent < 50<<20; sent += largestDataValue {
			a.send(block)
		}
		a.wantEnd(artim)
		if n := len(s.query("/instances?StudyInstanceUID=" + k.study)); n != 0 {
			t.Errorf("%d instances of what never ended", n)
		}
	}},
	{"D41 half close", func(_ *testing.T, s *site) {
		a := s.associate(verification)
		_ = a.conn.(*net.TCPConn).CloseWrite() // the other end notices
		a.wantEnd(artim)
	}},
	{"D43 an A-ASSOCIATE-RQ byte by byte", func(_ *testing.T, s *site) {
		a := s.dial()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for _, b := range goodRequest(verification).bytes() {
				if _, err := a.conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(500 * time.Millisecond)
			}
		}()
		a.wantEnd(artim)
		_ = a.conn.Close()
		<-done
	}},
	{"D45 a silent association", func(_ *testing.T, s *site) {
		s.associate(verification).wantEnd(artim)
	}},
}

// crowdCases open many connections, so they run alone.
var crowdCases = []hostileCase{
	{"D42 300 idle sockets", func(t *testing.T, s *site) {
		var idle []net.Conn
		defer func() {
			for _, c := range idle {
				_ = c.Close()
			}
		}()
		for range 300 {
			c, err := net.Dial("tcp", s.dicom)
			if err != nil {
				t.Fatal(err)
			}
			idle = append(idle, c)
		}
		s.alive()
	}},
	{"D42 as many associations as are admitted", func(t *testing.T, s *site) {
		accepted := 0
		for range 150 {
			a := s.dial()
			a.send(goodRequest(verification).bytes())
			kind, _, err := a.receive()
			if err == nil && kind == pduAssociateAC {
				accepted++
			}
		}
		if accepted == 0 || accepted == 150 {
			t.Errorf("%d of 150 associations from one address accepted", accepted)
		}
		s.alive()
	}},
	{"D44 1,000 connections that come and go", func(t *testing.T, s *site) {
		for range 1000 {
			c, err := net.Dial("tcp", s.dicom)
			if err != nil {
				t.Fatal(err)
			}
			_ = c.Close()
		}
		s.alive()
	}},
}

// TestHostileDIMSE sends the D cases of the table of bad inputs to one server.
func TestHostileDIMSE(t *testing.T) {
	s := open(t, options{settings: impatient})
	if status := s.storeOne(slice(t, "before", 1, 1, 64)); status != 0 {
		t.Fatalf("status %04X", status)
	}
	run := func(cases []hostileCase) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				s := s.in(t)
				c.run(t, s)
				s.alive()
			})
		}
	}
	run(associationCases)
	run(storeCases)
	run(queryCases)
	t.Run("slow", func(t *testing.T) {
		for _, c := range slowCases {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s := s.in(t)
				c.run(t, s)
				s.alive()
			})
		}
	})
	run(crowdCases)
	s.unharmed()
	if _, err := os.Stat("/tmp/pwn"); err == nil {
		t.Error("a file was written outside")
	}
}

// in is the site seen from a subtest.
func (s *site) in(t *testing.T) *site {
	view := *s
	view.t = t
	return &view
}

// unharmed checks a server that had to bear much: it serves, took little memory, left
// nothing lying around, and stops properly.
func (s *site) unharmed() {
	s.t.Helper()
	s.alive()
	if mb := s.highWater(); mb > maxResident {
		s.t.Errorf("%d MB resident at the most, want %d", mb, maxResident)
	} else {
		s.t.Logf("%d MB resident at the most", mb)
	}
	if files := s.spooled(); len(files) != 0 {
		s.t.Errorf("left over: %v", files)
	}
	s.stop()
	if out := s.run("fsck", "--data", s.data); !strings.Contains(out, " 0 faults") {
		s.t.Errorf("fsck: %s", out)
	}
}
