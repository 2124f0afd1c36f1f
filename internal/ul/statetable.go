package ul

// event is one of the events of PS3.8 §9.2.3, Table 9-10.
type event byte

const (
	evt1  event = iota + 1 // A-ASSOCIATE request, from the local user
	evt2                   // transport connection confirmation
	evt3                   // A-ASSOCIATE-AC PDU received
	evt4                   // A-ASSOCIATE-RJ PDU received
	evt5                   // transport connection indication
	evt6                   // A-ASSOCIATE-RQ PDU received
	evt7                   // A-ASSOCIATE response (accept), from the local user
	evt8                   // A-ASSOCIATE response (reject), from the local user
	evt9                   // P-DATA request, from the local user
	evt10                  // P-DATA-TF PDU received
	evt11                  // A-RELEASE request, from the local user
	evt12                  // A-RELEASE-RQ PDU received
	evt13                  // A-RELEASE-RP PDU received
	evt14                  // A-RELEASE response, from the local user
	evt15                  // A-ABORT request, from the local user
	evt16                  // A-ABORT PDU received
	evt17                  // transport connection closed
	evt18                  // ARTIM timer expired
	evt19                  // unrecognised or invalid PDU received
)

// state is one of the states of PS3.8 §9.2.1.
type state byte

const (
	sta1  state = iota + 1 // idle
	sta2                   // transport connection open, awaiting A-ASSOCIATE-RQ
	sta3                   // awaiting local A-ASSOCIATE response
	sta4                   // awaiting transport connection to be opened
	sta5                   // awaiting A-ASSOCIATE-AC or -RJ
	sta6                   // association established
	sta7                   // awaiting A-RELEASE-RP
	sta8                   // awaiting local A-RELEASE response
	sta9                   // release collision, requestor: awaiting local A-RELEASE response
	sta10                  // release collision, acceptor: awaiting A-RELEASE-RP
	sta11                  // release collision, requestor: awaiting A-RELEASE-RP
	sta12                  // release collision, acceptor: awaiting local A-RELEASE response
	sta13                  // awaiting the transport connection to be closed
)

// action is one of the actions of PS3.8 §9.2.2. Zero stands for the blank
// cells of the table: the event cannot happen in that state.
type action byte

const (
	ae1 action = iota + 1
	ae2
	ae3
	ae4
	ae5
	ae6
	ae7
	ae8
	dt1
	dt2
	ar1
	ar2
	ar3
	ar4
	ar5
	ar6
	ar7
	ar8
	ar9
	ar10
	aa1
	aa2
	aa3
	aa4
	aa5
	aa6
	aa7
	aa8

	// The second halves of the two actions that end in either of two states.
	ae6Refused  // AE-6 when the service-provider does not accept the request
	ar8Acceptor // AR-8 on the acceptor's side
)

// transitions is PS3.8 Table 9-10: a row for each event, a column for each
// state.
var transitions = [evt19 + 1][sta13 + 1]action{
	evt1:  {sta1: ae1},
	evt2:  {sta4: ae2},
	evt3:  {sta2: aa1, sta3: aa8, sta5: ae3, sta6: aa8, sta7: aa8, sta8: aa8, sta9: aa8, sta10: aa8, sta11: aa8, sta12: aa8, sta13: aa6},
	evt4:  {sta2: aa1, sta3: aa8, sta5: ae4, sta6: aa8, sta7: aa8, sta8: aa8, sta9: aa8, sta10: aa8, sta11: aa8, sta12: aa8, sta13: aa6},
	evt5:  {sta1: ae5},
	evt6:  {sta2: ae6, sta3: aa8, sta5: aa8, sta6: aa8, sta7: aa8, sta8: aa8, sta9: aa8, sta10: aa8, sta11: aa8, sta12: aa8, sta13: aa7},
	evt7:  {sta3: ae7},
	evt8:  {sta3: ae8},
	evt9:  {sta6: dt1, sta8: ar7},
	evt10: {sta2: aa1, sta3: aa8, sta5: aa8, sta6: dt2, sta7: ar6, sta8: aa8, sta9: aa8, sta10: aa8, sta11: aa8, sta12: aa8, sta13: aa6},
	evt11: {sta6: ar1},
	evt12: {sta2: aa1, sta3: aa8, sta5: aa8, sta6: ar2, sta7: ar8, sta8: aa8, sta9: aa8, sta10: aa8, sta11: aa8, sta12: aa8, sta13: aa6},
	evt13: {sta2: aa1, sta3: aa8, sta5: aa8, sta6: aa8, sta7: ar3, sta8: aa8, sta9: aa8, sta10: ar10, sta11: ar3, sta12: aa8, sta13: aa6},
	evt14: {sta8: ar4, sta9: ar9, sta12: ar4},
	evt15: {sta3: aa1, sta4: aa2, sta5: aa1, sta6: aa1, sta7: aa1, sta8: aa1, sta9: aa1, sta10: aa1, sta11: aa1, sta12: aa1},
	evt16: {sta2: aa2, sta3: aa3, sta5: aa3, sta6: aa3, sta7: aa3, sta8: aa3, sta9: aa3, sta10: aa3, sta11: aa3, sta12: aa3, sta13: aa2},
	evt17: {sta2: aa5, sta3: aa4, sta4: aa4, sta5: aa4, sta6: aa4, sta7: aa4, sta8: aa4, sta9: aa4, sta10: aa4, sta11: aa4, sta12: aa4, sta13: ar5},
	evt18: {sta2: aa2, sta13: aa2},
	evt19: {sta2: aa1, sta3: aa8, sta5: aa8, sta6: aa8, sta7: aa8, sta8: aa8, sta9: aa8, sta10: aa8, sta11: aa8, sta12: aa8, sta13: aa7},
}

// effect is what an action does besides changing the state. PDUs that carry
// more than their type (A-ASSOCIATE-RQ and -AC, P-DATA-TF) are handed to the
// state machine together with the event, hence one flag for all of them.
type effect struct {
	next       state
	send       byte // type of the PDU to send; 0 is none
	provider   bool // an A-ABORT sent has the service-provider as its source
	startARTIM bool
	stopARTIM  bool
	close      bool // close the transport connection
	indicate   indication
}

// indication is what an action tells the user of the service.
type indication byte

const (
	silent        indication = iota
	toldAssociate            // A-ASSOCIATE indication
	toldAccepted             // A-ASSOCIATE confirmation (accept)
	toldRejected             // A-ASSOCIATE confirmation (reject)
	toldData                 // P-DATA indication
	toldRelease              // A-RELEASE indication
	toldReleased             // A-RELEASE confirmation
	toldAbort                // A-ABORT or A-P-ABORT indication
)

// effects is PS3.8 Tables 9-6 to 9-9.
var effects = [ar8Acceptor + 1]effect{
	ae1:         {next: sta4},
	ae2:         {next: sta5, send: pduAssociateRQ},
	ae3:         {next: sta6, indicate: toldAccepted},
	ae4:         {next: sta1, indicate: toldRejected, close: true},
	ae5:         {next: sta2, startARTIM: true},
	ae6:         {next: sta3, stopARTIM: true, indicate: toldAssociate},
	ae6Refused:  {next: sta13, send: pduAssociateRJ, startARTIM: true},
	ae7:         {next: sta6, send: pduAssociateAC},
	ae8:         {next: sta13, send: pduAssociateRJ, startARTIM: true},
	dt1:         {next: sta6, send: pduData},
	dt2:         {next: sta6, indicate: toldData},
	ar1:         {next: sta7, send: pduReleaseRQ},
	ar2:         {next: sta8, indicate: toldRelease},
	ar3:         {next: sta1, indicate: toldReleased, close: true},
	ar4:         {next: sta13, send: pduReleaseRP, startARTIM: true},
	ar5:         {next: sta1, stopARTIM: true},
	ar6:         {next: sta7, indicate: toldData},
	ar7:         {next: sta8, send: pduData},
	ar8:         {next: sta9, indicate: toldRelease},
	ar8Acceptor: {next: sta10, indicate: toldRelease},
	ar9:         {next: sta11, send: pduReleaseRP},
	ar10:        {next: sta12, indicate: toldReleased},
	aa1:         {next: sta13, send: pduAbort, startARTIM: true},
	aa2:         {next: sta1, stopARTIM: true, close: true},
	aa3:         {next: sta1, indicate: toldAbort, close: true},
	aa4:         {next: sta1, indicate: toldAbort},
	aa5:         {next: sta1, stopARTIM: true},
	aa6:         {next: sta13},
	aa7:         {next: sta13, send: pduAbort},
	aa8:         {next: sta13, send: pduAbort, provider: true, indicate: toldAbort, startARTIM: true},
}
