// Package ul is the DICOM upper layer, PS3.8: associations over TCP or TLS, and
// the messages of PS3.7 as fragments on them. It knows neither commands nor SOP
// classes; package dimse does.
//
// The acceptor's side is a [Server], or [Accept] on a single connection; the
// requestor's side is [Dial]. Both give an [Association]:
//
//	for {
//		m, err := a.Receive()          // a complete command set
//		if errors.Is(err, ErrReleased) // the peer released, which is answered already
//		...
//		r := a.OpenDataSet(m.ContextID) // if the command says that one follows
//		io.Copy(dst, r)                 // streams; what is left unread is skipped
//		a.Send(m.ContextID, response)   // or SendWithDataSet
//	}
//
// What happens below is in one place each:
//
//   - statetable.go is Table 9-10 and the actions of PS3.8 §9.2 as data.
//     [Association] has no thread of its own: whoever reads or sends brings its
//     event to the state machine (machine.go), which takes the transition and
//     does what the action says. A P-DATA-TF PDU costs one look-up. What the peer
//     sends while Negotiate decides (Sta3) is met once the decision is sent.
//   - encode.go and decode.go are the PDUs of association establishment. Those of
//     fixed size are handled in machine.go and pduread.go, P-DATA-TF in
//     receive.go, datasetreader.go and send.go, without copying: fragments are
//     read from the buffer of the connection and assembled where they are sent
//     from.
//   - transport.go measures time. Only the time that this side waits for the peer
//     counts against the peer, so slow storage never times an association out.
//   - Limits in limits.go bound what one association costs, those in server.go how
//     many there are. The length field of a PDU never sizes an allocation.
//   - tls.go has the profiles of PS3.15 Annex B, certificates.go their reloading.
//
// An association ends by release, by A-ABORT of either side, or by loss of the
// connection. The reason is kept, every later call returns it, and Close may
// follow in any state. After its last PDU a side waits in Sta13 for the peer to
// close, at most [Limits.Linger], because closing a connection that has unread
// bytes would take that PDU from the peer.
//
// TCP_NODELAY is on, as Go sets it: every message leaves in as few writes as
// possible, so nothing is gained by the kernel waiting for more.
package ul
