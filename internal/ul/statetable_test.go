package ul

import (
	"io"
	"strings"
	"testing"
	"time"
)

// table910 is PS3.8 Table 9-10 as it is printed, transcribed a second time.
const table910 = `
        Sta1  Sta2  Sta3  Sta4  Sta5  Sta6  Sta7  Sta8  Sta9  Sta10 Sta11 Sta12 Sta13
Evt1    AE-1  -     -     -     -     -     -     -     -     -     -     -     -
Evt2    -     -     -     AE-2  -     -     -     -     -     -     -     -     -
Evt3    -     AA-1  AA-8  -     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt4    -     AA-1  AA-8  -     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt5    AE-5  -     -     -     -     -     -     -     -     -     -     -     -
Evt6    -     AE-6  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
Evt7    -     -     AE-7  -     -     -     -     -     -     -     -     -     -
Evt8    -     -     AE-8  -     -     -     -     -     -     -     -     -     -
Evt9    -     -     -     -     -     DT-1  -     AR-7  -     -     -     -     -
Evt10   -     AA-1  AA-8  -     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt11   -     -     -     -     -     AR-1  -     -     -     -     -     -     -
Evt12   -     AA-1  AA-8  -     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
Evt13   -     AA-1  AA-8  -     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
Evt14   -     -     -     -     -     -     -     AR-4  AR-9  -     -     AR-4  -
Evt15   -     -     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  -
Evt16   -     AA-2  AA-3  -     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
Evt17   -     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
Evt18   -     AA-2  -     -     -     -     -     -     -     -     -     -     AA-2
Evt19   -     AA-1  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
`

// outcome is what can be seen of an action from outside. The rows of outcomes
// are PS3.8 Tables 9-6 to 9-9.
type outcome struct {
	next    state
	sent    string // the PDU the peer receives
	told    indication
	closed  bool
	waiting bool // the ARTIM timer runs, if it did not before
}

const (
	userAbort     = "\x07\x00\x00\x00\x00\x04\x00\x00\x00\x00"
	providerAbort = "\x07\x00\x00\x00\x00\x04\x00\x00\x02\x06"
	releaseRQ     = "\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
	releaseRP     = "\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"
	given         = "(a PDU that comes with the event)"
)

var outcomes = map[string]outcome{
	"AE-1":  {next: sta4},
	"AE-2":  {next: sta5, sent: given},
	"AE-3":  {next: sta6, told: toldAccepted},
	"AE-4":  {next: sta1, told: toldRejected, closed: true},
	"AE-5":  {next: sta2, waiting: true},
	"AE-6":  {next: sta3, told: toldAssociate},
	"AE-7":  {next: sta6, sent: given},
	"AE-8":  {next: sta13, sent: given, waiting: true},
	"DT-1":  {next: sta6, sent: given},
	"DT-2":  {next: sta6, told: toldData},
	"AR-1":  {next: sta7, sent: releaseRQ},
	"AR-2":  {next: sta8, told: toldRelease},
	"AR-3":  {next: sta1, told: toldReleased, closed: true},
	"AR-4":  {next: sta13, sent: releaseRP, waiting: true},
	"AR-5":  {next: sta1},
	"AR-6":  {next: sta7, told: toldData},
	"AR-7":  {next: sta8, sent: given},
	"AR-8":  {next: sta9, told: toldRelease},
	"AR-9":  {next: sta11, sent: releaseRP},
	"AR-10": {next: sta12, told: toldReleased},
	"AA-1":  {next: sta13, sent: userAbort, waiting: true},
	"AA-2":  {next: sta1, closed: true},
	"AA-3":  {next: sta1, told: toldAbort, closed: true},
	"AA-4":  {next: sta1, told: toldAbort},
	"AA-5":  {next: sta1},
	"AA-6":  {next: sta13},
	"AA-7":  {next: sta13, sent: userAbort},
	"AA-8":  {next: sta13, sent: providerAbort, told: toldAbort, waiting: true},
}

func TestEveryEventInEveryStateDoesWhatTheStandardSays(t *testing.T) {
	rows := strings.Split(strings.TrimSpace(table910), "\n")[1:]
	if len(rows) != 19 {
		t.Fatalf("%d rows", len(rows))
	}
	ln := listen(t)
	for e, row := range rows {
		cells := strings.Fields(row)[1:]
		if len(cells) != 13 {
			t.Fatalf("%d cells in %q", len(cells), row)
		}
		for s, cell := range cells {
			checkCell(t, ln, event(e+1), state(s+1), cell, true)
		}
	}
}

func TestReleaseCollisionDependsOnTheSide(t *testing.T) {
	outcomes["AR-8 of the acceptor"] = outcome{next: sta10, told: toldRelease}
	checkCell(t, listen(t), evt12, sta7, "AR-8 of the acceptor", false)
}

// checkCell fires an event in a state on a real connection and compares what
// can be seen with what the action should do.
func checkCell(t *testing.T, ln *listener, ev event, st state, cell string, requestor bool) {
	t.Helper()
	conn, raw := ln.pair(t)
	a := newAssociation(conn, Limits{}.withDefaults(), requestor)
	a.state = st
	told, err := a.fire(ev, input{pdu: []byte(given), reason: AbortInvalidParameter})
	if cell == "-" {
		if err == nil || a.state != st {
			t.Errorf("evt%d in sta%d: state %d, error %v, want no transition", ev, st, a.state, err)
		}
		return
	}
	if err != nil {
		t.Errorf("evt%d in sta%d: %v", ev, st, err)
	}
	want := outcomes[cell]
	got := outcome{next: a.state, told: told, closed: a.tornDown.Load(), waiting: !a.artim.IsZero()}
	_ = conn.Close()
	sent, err := io.ReadAll(raw)
	if err != nil {
		t.Errorf("evt%d in sta%d: reading what was sent: %v", ev, st, err)
	}
	got.sent = string(sent)
	if got != want {
		t.Errorf("evt%d in sta%d, %s:\ngot  %+v\nwant %+v", ev, st, cell, got, want)
	}
	if got.waiting && time.Until(a.artim) > DefaultARTIM {
		t.Errorf("evt%d in sta%d: ARTIM runs until %v", ev, st, a.artim)
	}
}

func TestRequestRefusedByTheProviderIsRejectedWithoutIndication(t *testing.T) {
	conn, raw := listen(t).pair(t)
	a := newAssociation(conn, Limits{}.withDefaults(), false)
	a.state = sta2
	told, err := a.fire(evt6, input{pdu: []byte(given), refused: true})
	if told != silent || err != nil || a.state != sta13 || a.artim.IsZero() {
		t.Errorf("told %d, error %v, state %d, ARTIM %v", told, err, a.state, a.artim)
	}
	_ = conn.Close()
	if sent, _ := io.ReadAll(raw); string(sent) != given {
		t.Errorf("sent % x", sent)
	}
}
