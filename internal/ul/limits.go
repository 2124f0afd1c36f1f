package ul

import (
	"cmp"
	"time"
)

// Defaults of Limits and Server.
const (
	DefaultARTIM           = 30 * time.Second
	DefaultIdle            = 60 * time.Second
	DefaultProgress        = 30 * time.Second
	DefaultLinger          = 5 * time.Second
	DefaultMaxPDU          = 128 << 10
	DefaultMaxAssociatePDU = 256 << 10
	DefaultMaxContexts     = 128
	DefaultMaxCommand      = 64 << 10
	DefaultMaxAssociations = 200
	DefaultMaxPerPeer      = 100
	DefaultMaxHalfOpen     = 256
	largestPDU             = 1 << 20 // never receive a longer P-DATA-TF unless MaxPDU says so
	largestSentPDU         = 128 << 10
	smallestPDU            = pdvHeaderSize + 2 // a PDV of one even fragment
)

// Limits bounds the time and memory that one association may cost. Fields that
// are zero take the defaults.
type Limits struct {
	// ARTIM is the time an association may take to be established: on the
	// acceptor's side from the transport connection to the complete
	// A-ASSOCIATE-RQ (the ARTIM timer of PS3.8 §9.1.5), including a TLS handshake;
	// on the requestor's side from the A-ASSOCIATE-RQ to its answer. Default 30 s.
	ARTIM time.Duration

	// Idle is the time Receive waits for a message. Default 60 s; negative is
	// unlimited. See also Association.SetIdle.
	Idle time.Duration

	// Progress is the time the peer may take to deliver one PDU, or the next
	// PDU of a message under way, to accept one write, or to answer a release.
	// Only time spent waiting for the peer counts. Default 30 s.
	Progress time.Duration

	// Linger is the ARTIM timer of Sta13: how long to wait for the peer to close
	// the connection after the last PDU was sent. Default 5 s.
	Linger time.Duration

	// MaxPDU is the maximum length announced to the peer for P-DATA-TF PDUs, in
	// bytes. Default 128 KiB. Longer ones are tolerated up to 1 MiB, since they
	// cost no memory here.
	MaxPDU uint32

	// MaxAssociatePDU is the greatest A-ASSOCIATE-RQ or -AC that is read, in
	// bytes. Default 256 KiB.
	MaxAssociatePDU uint32

	// MaxContexts is the greatest number of presentation contexts in an
	// A-ASSOCIATE-RQ. Default 128, all there can be.
	MaxContexts int

	// MaxCommand is the greatest command set that is received, in bytes.
	// Default 64 KiB.
	MaxCommand int
}

func (l Limits) withDefaults() Limits {
	l.ARTIM = cmp.Or(l.ARTIM, DefaultARTIM)
	l.Idle = cmp.Or(l.Idle, DefaultIdle)
	l.Progress = cmp.Or(l.Progress, DefaultProgress)
	l.Linger = cmp.Or(l.Linger, DefaultLinger)
	l.MaxPDU = min(max(cmp.Or(l.MaxPDU, DefaultMaxPDU), smallestPDU), 1<<30)
	l.MaxAssociatePDU = cmp.Or(l.MaxAssociatePDU, DefaultMaxAssociatePDU)
	l.MaxContexts = cmp.Or(l.MaxContexts, DefaultMaxContexts)
	l.MaxCommand = cmp.Or(l.MaxCommand, DefaultMaxCommand)
	return l
}

// Implementation identifies the implementation to peers, PS3.7 §D.3.3.2.
type Implementation struct {
	ClassUID    string
	VersionName string // 1 to 16 characters
}

// DefaultImplementation is what Pharos calls itself, here as in the files that package
// dicom writes; this package knows nothing of that one. The UID is derived from a UUID as
// PS3.5 §B.2 allows.
var DefaultImplementation = Implementation{
	ClassUID:    "2.25.183718604718429034657382949872634019283",
	VersionName: "PHAROS_0_1",
}
