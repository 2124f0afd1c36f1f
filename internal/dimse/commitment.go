package dimse

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"time"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Reference names an instance and its class, as storage commitment does.
type Reference struct {
	Class, Instance dicom.UID
}

// FailedReference is an instance that is not committed.
type FailedReference struct {
	Reference
	Reason Status // PS3.3 §C.14.1.1
}

// Commitment is the outcome of a storage commitment request (PS3.4 §J.3.3).
type Commitment struct {
	Transaction dicom.UID
	From        string // AE title of who reports
	Committed   []Reference
	Failed      []FailedReference
}

// Event types and the action type of storage commitment (PS3.4 §J.3.2.1, §J.3.3.1).
const (
	requestCommitment  = 1
	commitmentComplete = 1
	commitmentFailures = 2
)

// CommitmentLimits bound what requests for storage commitment can cost. Zero fields take
// the defaults.
type CommitmentLimits struct {
	Requests   int           // being checked or waiting to be reported; default 64
	MaxRequest int64         // bytes of a request; default 8 MiB
	Attempts   int           // to report on a new association; default 5
	Pause      time.Duration // between attempts; default 30 s
}

func (l CommitmentLimits) withDefaults() CommitmentLimits {
	l.Requests = cmp.Or(l.Requests, 64)
	l.MaxRequest = cmp.Or(l.MaxRequest, 8<<20)
	l.Attempts = cmp.Or(l.Attempts, 5)
	l.Pause = cmp.Or(l.Pause, 30*time.Second)
	return l
}

var errCommitment = errors.New("malformed storage commitment")

// readCommitmentData reads the data set of an N-ACTION or N-EVENT-REPORT.
func readCommitmentData(r io.Reader, ts dicom.UID, limit int64) (*dicom.Dataset, error) {
	limits := dicom.Limits{Depth: 4, Elements: int(limit / 16), Value: limit, Memory: limit, Inflated: limit}
	return dicom.ReadDataset(&bounded{r: r, left: limit}, ts, limits)
}

// requestData is the action information of a request (PS3.4 Table J.3-1).
func requestData(transaction dicom.UID, refs []Reference) *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetText(dict.TransactionUID, dict.UI, string(transaction))
	items := make([]*dicom.Dataset, len(refs))
	for i, r := range refs {
		items[i] = r.item()
	}
	d.SetItems(dict.ReferencedSOPSequence, items...)
	return d
}

func (r Reference) item() *dicom.Dataset {
	item := dicom.NewDataset()
	item.SetText(dict.ReferencedSOPClassUID, dict.UI, string(r.Class))
	item.SetText(dict.ReferencedSOPInstanceUID, dict.UI, string(r.Instance))
	return item
}

// parseRequest reads the action information of a request.
func parseRequest(d *dicom.Dataset) (transaction dicom.UID, refs []Reference, err error) {
	transaction = d.UID(dict.TransactionUID)
	if !transaction.Valid() {
		return "", nil, fmt.Errorf("%w: Transaction UID is missing or is not a UID", errCommitment)
	}
	refs, err = references(d.Items(dict.ReferencedSOPSequence))
	if err == nil && len(refs) == 0 {
		err = fmt.Errorf("%w: no instance is referenced", errCommitment)
	}
	return transaction, refs, err
}

func references(items []*dicom.Dataset) ([]Reference, error) {
	refs := make([]Reference, len(items))
	for i, item := range items {
		refs[i] = Reference{Class: item.UID(dict.ReferencedSOPClassUID), Instance: item.UID(dict.ReferencedSOPInstanceUID)}
		if !refs[i].Class.Valid() || !refs[i].Instance.Valid() {
			return nil, fmt.Errorf("%w: a reference is missing a UID", errCommitment)
		}
	}
	return refs, nil
}

// eventType tells success from partial or whole failure.
func (c *Commitment) eventType() uint16 {
	if len(c.Failed) > 0 {
		return commitmentFailures
	}
	return commitmentComplete
}

// data is the event information of a report (PS3.4 Table J.3-2).
func (c *Commitment) data() *dicom.Dataset {
	d := requestData(c.Transaction, c.Committed)
	d.SetText(dict.RetrieveAETitle, dict.AE, c.From)
	if len(c.Committed) == 0 {
		d.Delete(dict.ReferencedSOPSequence)
	}
	items := make([]*dicom.Dataset, len(c.Failed))
	for i, f := range c.Failed {
		items[i] = f.item()
		items[i].SetInts(dict.FailureReason, dict.US, int64(f.Reason))
	}
	if len(items) > 0 {
		d.SetItems(dict.FailedSOPSequence, items...)
	}
	return d
}

// parseReport reads the event information of a report.
func parseReport(d *dicom.Dataset, from string) (Commitment, error) {
	c := Commitment{Transaction: d.UID(dict.TransactionUID), From: from}
	if !c.Transaction.Valid() {
		return Commitment{}, fmt.Errorf("%w: Transaction UID is missing or is not a UID", errCommitment)
	}
	var err error
	if c.Committed, err = references(d.Items(dict.ReferencedSOPSequence)); err != nil {
		return Commitment{}, err
	}
	items := d.Items(dict.FailedSOPSequence)
	failed, err := references(items)
	if err != nil {
		return Commitment{}, err
	}
	for i, r := range failed {
		reason, _ := items[i].Int(dict.FailureReason)
		c.Failed = append(c.Failed, FailedReference{Reference: r, Reason: Status(reason)})
	}
	return c, nil
}
