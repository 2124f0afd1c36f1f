package conformance

import (
	"strconv"
	"time"

	"pharos/internal/dimse"
	"pharos/internal/ul"
)

// AssociationLimits renders the defaults of what bounds associations and operations.
func AssociationLimits() string {
	return table([]string{"Limit", "default"}, [][]string{
		{"from the connection to the complete A-ASSOCIATE-RQ, a TLS handshake included (ARTIM)", span(ul.DefaultARTIM)},
		{"idle, between messages", span(ul.DefaultIdle)},
		{"for the peer to deliver one PDU or the next of a message, to take what is sent, or to answer a release", span(ul.DefaultProgress)},
		{"for the peer to close the connection after the last PDU", span(ul.DefaultLinger)},
		{"maximum length announced for P-DATA-TF", size(ul.DefaultMaxPDU)},
		{"A-ASSOCIATE-RQ or -AC", size(ul.DefaultMaxAssociatePDU)},
		{"presentation contexts", strconv.Itoa(ul.DefaultMaxContexts)},
		{"command set", size(ul.DefaultMaxCommand)},
		{"associations at once", strconv.Itoa(ul.DefaultMaxAssociations)},
		{"associations at once from one address", strconv.Itoa(ul.DefaultMaxPerPeer)},
		{"connections without an association", strconv.Itoa(ul.DefaultMaxHalfOpen)},
		{"identifier of C-FIND, C-MOVE or C-GET", size(dimse.DefaultMaxIdentifier)},
		{"sub-operations of one C-MOVE or C-GET", strconv.Itoa(dimse.DefaultMaxSubOperations)},
		{"to receive the rest of a data set that is refused already", span(dimse.DefaultDrain)},
		{"as requestor, for the next message of the peer", span(dimse.DefaultPatience)},
	})
}

func span(d time.Duration) string {
	if d%time.Minute == 0 && d > time.Minute {
		return strconv.Itoa(int(d/time.Minute)) + " min"
	}
	return strconv.Itoa(int(d/time.Second)) + " s"
}

func size(n int) string {
	if n%(1<<20) == 0 {
		return strconv.Itoa(n>>20) + " MiB"
	}
	return strconv.Itoa(n>>10) + " KiB"
}
