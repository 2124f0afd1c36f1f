package dimse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// destinationSite is a second server that the first knows as "DEST".
func destinationSite(t *testing.T, from *site, change ...func(*ServerConfig)) *site {
	t.Helper()
	to := open(t, append([]func(*ServerConfig){func(c *ServerConfig) { c.AETitle = "DEST" }}, change...)...)
	to.node.AETitle = "DEST"
	from.knows(to.node)
	return to
}

// sameInstances checks that two archives hold the same pixel data and header of an
// object, in whatever transfer syntax.
func sameInstances(t *testing.T, a, b *memArchive, o Object) {
	t.Helper()
	x, y := a.instances(dicom.Ref{Instance: o.Instance}), b.instances(dicom.Ref{Instance: o.Instance})
	if len(x) != 1 || len(y) != 1 {
		t.Errorf("%v: %d and %d instances", o.Instance, len(x), len(y))
		return
	}
	if !bytes.Equal(plain(t, x[0]), plain(t, y[0])) {
		t.Errorf("%v from %v to %v differs", o.Instance, x[0].syntax, y[0].syntax)
	}
}

// plain is the data set of an instance in implicit VR little endian, or as it is when it
// is compressed.
func plain(t *testing.T, i *memInstance) []byte {
	t.Helper()
	to := dicom.ImplicitVRLittleEndian
	if !native(i.syntax) {
		to = i.syntax
	}
	var b bytes.Buffer
	if err := reencode(t.Context(), &b, ObjectOf(i), to); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestMoveSendsEveryLevelInBothModels(t *testing.T) {
	s := open(t)
	objects := twoStudies(t, s)
	ref := s.archive.instances(dicom.Ref{Instance: objects[0].Instance})[0].ref
	patient := s.archive.stored[0].header.Text(dict.PatientID)
	for _, c := range []struct {
		name string
		root Root
		keys *dicom.Dataset
		want int
	}{
		{"patient", PatientRoot, keys(archive.PatientLevel, dict.PatientID, patient), 4},
		{"study", PatientRoot, keys(archive.StudyLevel, dict.PatientID, patient, dict.StudyInstanceUID, string(ref.Study)), 3},
		{"study", StudyRoot, keys(archive.StudyLevel, dict.StudyInstanceUID, string(ref.Study)), 3},
		{"series", StudyRoot, keys(archive.SeriesLevel, dict.StudyInstanceUID, string(ref.Study), dict.SeriesInstanceUID, string(ref.Series)), 2},
		{"image", StudyRoot, keys(archive.InstanceLevel, dict.StudyInstanceUID, string(ref.Study), dict.SeriesInstanceUID, string(ref.Series), dict.SOPInstanceUID, string(ref.Instance)), 1},
		{"images", StudyRoot, keys(archive.InstanceLevel, dict.StudyInstanceUID, string(ref.Study), dict.SeriesInstanceUID, string(ref.Series), dict.SOPInstanceUID, fmt.Sprintf(`%s\%s\1.2.3`, ref.Instance, objects[1].Instance)), 2},
		{"nothing", StudyRoot, keys(archive.StudyLevel, dict.StudyInstanceUID, "1.2.3"), 0},
	} {
		to := destinationSite(t, s)
		var seen []Counts
		got, err := s.dial(OfferMove(c.root)).Move(t.Context(), c.root, c.keys, "DEST", func(n Counts) bool {
			seen = append(seen, n)
			return true
		})
		if err != nil || got.Status != Success || int(got.Completed) != c.want || len(to.archive.stored) != c.want {
			t.Errorf("%s: %+v, %v, %d arrived", c.name, got, err, len(to.archive.stored))
		}
		for i, n := range seen {
			if want := (Counts{Remaining: uint16(c.want - i - 1), Completed: uint16(i + 1)}); n != want {
				t.Errorf("%s: progress %d is %+v", c.name, i, n)
			}
		}
		for _, i := range to.archive.stored {
			sameInstances(t, s.archive, to.archive, ObjectOf(i))
		}
	}
}

func TestSubOperationsNameTheirOriginator(t *testing.T) {
	s := open(t)
	objects := s.fill(slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian))
	var got Command
	s.knows(scriptedStore(t, "DEST", func(c *Command) Status { got = *c; return Success }))
	if _, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "DEST", nil); err != nil {
		t.Fatal(err)
	}
	if got.MoveOriginator != "TESTER" || got.MoveOriginatorID != 1 || got.SOPInstance != objects[0].Instance {
		t.Errorf("%+v", got)
	}
}

// studyOf is the identifier of the study of an object.
func studyOf(s *site, o Object) *dicom.Dataset {
	ref := s.archive.instances(dicom.Ref{Instance: o.Instance})[0].ref
	return keys(archive.StudyLevel, dict.StudyInstanceUID, string(ref.Study))
}

// scriptedStore is a node that answers every C-STORE as told.
func scriptedStore(t *testing.T, aet string, answer func(*Command) Status) Node {
	t.Helper()
	accept := func(_ context.Context, p *ul.Proposal) (*ul.Decision, error) {
		d := &ul.Decision{}
		for _, c := range p.Contexts {
			d.Contexts = append(d.Contexts, ul.ContextResult{ID: c.ID, TransferSyntax: c.TransferSyntaxes[0]})
		}
		return d, nil
	}
	return scriptedNode(t, aet, accept, func(l *link) {
		for {
			m, err := l.receive()
			if err != nil {
				return
			}
			rsp := Command{Field: m.Field | responseBit, MessageID: m.MessageID, SOPClass: m.SOPClass, SOPInstance: m.SOPInstance, Status: answer(&m.Command)}
			if err := l.send(m.contextID, &rsp); err != nil {
				return
			}
		}
	})
}

func TestFailedAndWarnedSubOperationsAreCountedAndListed(t *testing.T) {
	s := open(t)
	objects := s.fill(
		slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian),
		slice(t, "one", 1, 2, dicom.ExplicitVRLittleEndian),
		slice(t, "one", 1, 3, dicom.ExplicitVRLittleEndian))
	answers := map[dicom.UID]Status{objects[0].Instance: Success, objects[1].Instance: OutOfResources, objects[2].Instance: CoercedElements}
	s.knows(scriptedStore(t, "DEST", func(c *Command) Status { return answers[c.SOPInstance] }))
	got, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "DEST", nil)
	if err != nil || got.Status != SubOperationFailed || got.Counts != (Counts{Completed: 1, Failed: 1, Warning: 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	if !slices.Equal(got.Failed, []dicom.UID{objects[1].Instance}) {
		t.Errorf("failed: %v", got.Failed)
	}
}

func TestMoveThatCannotSendAnythingFails(t *testing.T) {
	s := open(t)
	objects := twoStudies(t, s)
	gone := s.node
	gone.AETitle, gone.Port = "GONE", 1
	s.knows(gone)
	got, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "GONE", nil)
	if statusOf(t, err) != CannotPerform || got.Counts.Failed != 3 || len(got.Failed) != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestMoveToUnknownDestinationIsRefused(t *testing.T) { // D38
	s := open(t)
	objects := twoStudies(t, s)
	_, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "NOBODY", nil)
	if got := statusOf(t, err); got != UnknownDestination {
		t.Errorf("status %v", got)
	}
}

func TestMoveToTheArchiveItselfEnds(t *testing.T) {
	s := open(t)
	objects := twoStudies(t, s)
	s.knows(s.node)
	got, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "PHAROS", nil)
	if err != nil || got.Completed != 3 || len(s.archive.stored) != 4 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCancelledMoveTellsWhatRemains(t *testing.T) {
	s := open(t)
	var files [][]byte
	for n := range 20 {
		files = append(files, slice(t, "one", 1, n+1, dicom.ExplicitVRLittleEndian))
	}
	objects := s.fill(files...)
	// The destination holds the third instance back until the cancellation is sent.
	cancelled := make(chan struct{})
	n := 0
	s.knows(scriptedStore(t, "DEST", func(*Command) Status {
		if n++; n == 3 {
			<-cancelled
		}
		return Success
	}))
	c := s.dial(OfferMove(StudyRoot))
	id, rq, err := c.askTo(CMoveRQ, StudyRoot.moveClass(), "DEST", studyOf(s, objects[0]))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cancel(id, rq.MessageID); err != nil {
		t.Fatal(err)
	}
	close(cancelled)
	for {
		m, err := c.await(CMoveRSP, rq.MessageID)
		if err != nil {
			t.Fatal(err)
		}
		if m.Status.Pending() {
			continue
		}
		if m.Status != Cancelled || m.Counts == nil || m.Counts.Remaining+m.Counts.Completed != 20 || m.Counts.Remaining == 0 {
			t.Errorf("final response %v with %+v", m.Status, m.Counts)
		}
		return
	}
}

func TestTooManyInstancesAreRefused(t *testing.T) {
	s := open(t, func(c *ServerConfig) { c.Limits.MaxSubOperations = 2 })
	objects := twoStudies(t, s)
	s.knows(s.node)
	_, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "PHAROS", nil)
	if got := statusOf(t, err); got != CannotCount {
		t.Errorf("status %v", got)
	}
}

func TestWhoMayNotRetrieveIsToldSo(t *testing.T) {
	s := open(t, func(c *ServerConfig) { c.Authenticate = principalWith(access.Store | access.Find) })
	objects := twoStudies(t, s)
	s.knows(s.node)
	_, err := s.dial(OfferMove(StudyRoot)).Move(t.Context(), StudyRoot, studyOf(s, objects[0]), "PHAROS", nil)
	if got := statusOf(t, err); got != NotAuthorized {
		t.Errorf("status %v", got)
	}
}

// gotten collects what a C-GET brings into an archive.
func gotten(a *memArchive) Receive {
	return func(ctx context.Context, _, _ dicom.UID, r io.Reader) error {
		in, err := archive.ReadIncoming(r)
		if err != nil {
			return err
		}
		_, err = a.Store(ctx, in, "")
		return err
	}
}

func TestGetBringsInstancesOnTheSameAssociation(t *testing.T) {
	s := open(t)
	objects := twoStudies(t, s)
	for _, ts := range nativeSyntaxes {
		c := s.dial(OfferGet(StudyRoot, []dicom.UID{dict.CTImageStorage}, ts)...)
		var to memArchive
		got, err := c.Get(t.Context(), StudyRoot, studyOf(s, objects[0]), gotten(&to), nil)
		if err != nil || got.Counts != (Counts{Completed: 3}) {
			t.Errorf("%v: %+v, %v", ts, got, err)
		}
		for _, i := range to.stored {
			if i.syntax != ts {
				t.Errorf("arrived in %v, want %v", i.syntax, ts)
			}
			sameInstances(t, s.archive, &to, ObjectOf(i))
		}
	}
}

func TestGetCountsWhatCannotBeSentAndGoesOn(t *testing.T) {
	s := open(t)
	jpeg := dicomtest.JPEGBytes(t, dicomtest.WithStudy("one"))
	objects := s.fill(slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian), jpeg)
	study := studyOf(s, objects[0])
	c := s.dial(OfferGet(StudyRoot, []dicom.UID{dict.CTImageStorage, objects[1].Class})...)
	var to memArchive
	got, err := c.Get(t.Context(), StudyRoot, study, gotten(&to), nil)
	if err != nil || got.Status != SubOperationFailed || got.Counts != (Counts{Completed: 1, Failed: 1}) {
		t.Errorf("%+v, %v", got, err)
	}
	if !slices.Equal(got.Failed, []dicom.UID{objects[1].Instance}) {
		t.Errorf("failed: %v", got.Failed)
	}
	both := OfferGet(StudyRoot, []dicom.UID{dict.CTImageStorage, objects[1].Class}, dicom.ExplicitVRLittleEndian, objects[1].Syntax)
	got, err = s.dial(both...).Get(t.Context(), StudyRoot, study, gotten(&to), nil)
	if err != nil || got.Completed != 2 {
		t.Errorf("with both syntaxes: %+v, %v", got, err)
	}
}

func TestGetTellsWhatTheReceiverRefused(t *testing.T) {
	s := open(t)
	objects := s.fill(slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian))
	c := s.dial(OfferGet(StudyRoot, []dicom.UID{dict.CTImageStorage})...)
	got, err := c.Get(t.Context(), StudyRoot, studyOf(s, objects[0]), func(context.Context, dicom.UID, dicom.UID, io.Reader) error {
		return archive.ErrFull
	}, nil)
	if statusOf(t, err) != CannotPerform || got.Counts.Failed != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCancelledGetEnds(t *testing.T) {
	s := open(t)
	var files [][]byte
	for n := range 5 {
		files = append(files, slice(t, "one", 1, n+1, dicom.ExplicitVRLittleEndian))
	}
	objects := s.fill(files...)
	c := s.dial(append(OfferGet(StudyRoot, []dicom.UID{dict.CTImageStorage}), OfferEcho())...)
	var to memArchive
	// The cancellation leaves before the response of the second instance, so that the
	// server has it when it looks.
	receive := gotten(&to)
	get := func(ctx context.Context, class, instance dicom.UID, r io.Reader) error {
		err := receive(ctx, class, instance, r)
		if len(to.stored) == 2 {
			id, _ := c.contextFor(StudyRoot.getClass())
			if err := c.cancel(id, c.lastID); err != nil {
				t.Error(err)
			}
		}
		return err
	}
	got, err := c.Get(t.Context(), StudyRoot, studyOf(s, objects[0]), get, nil)
	if statusOf(t, err) != Cancelled || got.Counts != (Counts{Remaining: 3, Completed: 2}) {
		t.Errorf("%+v, %v", got, err)
	}
	if err := c.Echo(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestKindsBeyondOneAssociationAreSplit(t *testing.T) {
	var kinds []Kind
	for u := range dict.StorageClasses() {
		kinds = append(kinds, Kind{dicom.UID(u.Value), dicom.ExplicitVRBigEndian}, Kind{dicom.UID(u.Value), dicom.ImplicitVRLittleEndian})
	}
	planned := 0
	for _, b := range OfferStore(append(kinds, kinds...)) {
		planned += len(b.Kinds)
		if len(b.Offers) > maxContexts {
			t.Errorf("%d contexts", len(b.Offers))
		}
	}
	if planned != len(kinds) {
		t.Errorf("%d of %d kinds planned", planned, len(kinds))
	}
}
