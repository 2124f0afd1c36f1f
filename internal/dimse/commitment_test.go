package dimse

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"pharos/internal/access"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/dimse/dimsetest"
)

func referencesTo(objects []Object) []Reference {
	refs := make([]Reference, len(objects))
	for i, o := range objects {
		refs[i] = Reference{Class: o.Class, Instance: o.Instance}
	}
	return refs
}

func TestCommitmentIsReportedOnTheSameAssociation(t *testing.T) {
	s := open(t)
	objects := twoStudies(t, s)
	refs := referencesTo(objects)
	missing := Reference{dict.CTImageStorage, "1.2.3"}
	another := Reference{dict.MRImageStorage, objects[0].Instance}
	s.archive.stored[3].file = s.archive.stored[3].file[:400] // damaged
	c := s.dial(OfferCommitment(), OfferEcho())
	if err := c.RequestCommitment(t.Context(), "1.2.3.4", append(refs, missing, another)); err != nil {
		t.Fatal(err)
	}
	got, err := c.AwaitCommitment(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Transaction != "1.2.3.4" || got.From != "PHAROS" || !slices.Equal(got.Committed, refs[:3]) {
		t.Errorf("%+v", got)
	}
	want := []FailedReference{{refs[3], ProcessingFailure}, {missing, NoSuchInstance}, {another, ClassConflict}}
	if !slices.Equal(got.Failed, want) {
		t.Errorf("failed: %v", got.Failed)
	}
	if err := c.Echo(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCommitmentDoesNotKeepTheAssociationFromOtherWork(t *testing.T) {
	s := open(t)
	objects := twoStudies(t, s)
	s.server.commits.checking.Lock() // no check ends before the echo is answered
	c := s.dial(OfferCommitment(), OfferEcho())
	if err := c.RequestCommitment(t.Context(), "1.2.3.4", referencesTo(objects)); err != nil {
		t.Fatal(err)
	}
	if err := c.Echo(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.server.commits.checking.Unlock()
	if got, err := c.AwaitCommitment(t.Context()); err != nil || len(got.Committed) != 4 {
		t.Errorf("%+v, %v", got, err)
	}
}

// commitmentsTo makes a site that collects the reports it gets as "TESTER".
func commitmentsTo(t *testing.T, from *site) (chan Commitment, *site) {
	t.Helper()
	got := make(chan Commitment, 1)
	to := open(t, func(c *ServerConfig) {
		c.AETitle = "TESTER"
		c.Committed = func(_ context.Context, report Commitment) { got <- report }
	})
	to.node.AETitle = "TESTER"
	from.knows(to.node)
	return got, to
}

func TestCommitmentIsReportedOnANewAssociationAfterRelease(t *testing.T) {
	s := open(t)
	objects := twoStudies(t, s)
	got, _ := commitmentsTo(t, s)
	s.server.commits.checking.Lock()
	c := s.dial(OfferCommitment())
	if err := c.RequestCommitment(t.Context(), "1.2.3.4", referencesTo(objects)); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.server.commits.checking.Unlock()
	if report := <-got; len(report.Committed) != 4 || report.Transaction != "1.2.3.4" || report.From != "PHAROS" {
		t.Errorf("%+v", report)
	}
}

func TestCommitmentIsReportedAgainAfterAFailure(t *testing.T) {
	s := open(t, func(c *ServerConfig) { c.Limits.Commitment.Pause = time.Millisecond })
	objects := twoStudies(t, s)
	asked := 0
	refused := errors.New("not yet")
	got := make(chan Commitment, 1)
	to := open(t, func(c *ServerConfig) {
		c.AETitle = "TESTER"
		c.Committed = func(_ context.Context, report Commitment) { got <- report }
		c.Authenticate = func(context.Context, Caller) (access.Principal, error) {
			if asked++; asked < 3 {
				return access.Principal{}, refused
			}
			return access.Principal{}, nil
		}
	})
	to.node.AETitle = "TESTER"
	s.knows(to.node)
	c := s.dial(OfferCommitment())
	if err := c.RequestCommitment(t.Context(), "1.2.3.4", referencesTo(objects)); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	if report := <-got; len(report.Committed) != 4 || asked != 3 {
		t.Errorf("%+v after %d attempts", report, asked)
	}
}

func TestShutdownDeliversReports(t *testing.T) {
	s := open(t)
	objects := twoStudies(t, s)
	got, _ := commitmentsTo(t, s)
	s.server.commits.checking.Lock()
	c := s.dial(OfferCommitment())
	if err := c.RequestCommitment(t.Context(), "1.2.3.4", referencesTo(objects)); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.server.commits.checking.Unlock()
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case report := <-got:
		if len(report.Committed) != 4 {
			t.Errorf("%+v", report)
		}
	default:
		t.Error("nothing was reported")
	}
}

func TestCommitmentRequestsThatMakeNoSenseAreRefused(t *testing.T) {
	s := open(t, func(c *ServerConfig) { c.Limits.Commitment.Requests = 1 })
	objects := twoStudies(t, s)
	refs := referencesTo(objects)
	c := s.dial(OfferCommitment())
	for name, r := range map[string]struct {
		transaction dicom.UID
		refs        []Reference
		want        Status
	}{
		"no transaction": {"", refs, InvalidArgument},
		"no instance":    {"1.2.3", nil, InvalidArgument},
		"no UID":         {"1.2.3", []Reference{{}}, InvalidArgument},
	} {
		if got := statusOf(t, c.RequestCommitment(t.Context(), r.transaction, r.refs)); got != r.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	s.server.commits.checking.Lock()
	if err := c.RequestCommitment(t.Context(), "1.2.3", refs); err != nil {
		t.Fatal(err)
	}
	if got := statusOf(t, c.RequestCommitment(t.Context(), "1.2.3", refs)); got != DuplicateTransfer {
		t.Errorf("same transaction: %v", got)
	}
	if got := statusOf(t, c.RequestCommitment(t.Context(), "1.2.4", refs)); got != ResourceLimit {
		t.Errorf("one too many: %v", got)
	}
	s.server.commits.checking.Unlock()
	if _, err := c.AwaitCommitment(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWhoMayOnlyStoreMayAskForCommitment(t *testing.T) {
	for may, want := range map[access.Action]Status{access.Store: Success, access.Find: NotAuthorized} {
		s := open(t, func(c *ServerConfig) { c.Authenticate = principalWith(may) })
		c := s.dial(OfferCommitment())
		err := c.RequestCommitment(t.Context(), "1.2.3", []Reference{{dict.CTImageStorage, "1.2"}})
		if want != Success {
			if got := statusOf(t, err); got != want {
				t.Errorf("%v: %v", may, got)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.AwaitCommitment(t.Context())
		if err != nil || len(got.Failed) != 1 || got.Failed[0].Reason != NoSuchInstance {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestOrthancAsksForCommitment(t *testing.T) {
	s := open(t)
	peer := dimsetest.Orthanc(t, "ORTHANC", map[string]int{"PHAROS": s.node.Port}, nil)
	s.knows(Node{AETitle: "ORTHANC", Host: "127.0.0.1", Port: peer.Port})
	var stored struct{ ID string }
	peer.Post(t, "/instances", samples(t)[0], &stored)
	var sent struct{ StorageCommitmentTransactionUID string }
	peer.Post(t, "/modalities/PHAROS/store", map[string]any{"Resources": []string{stored.ID}, "Synchronous": true, "StorageCommitment": true}, &sent)
	var report struct{ Status string }
	for range 200 {
		peer.Get(t, "/storage-commitment/"+sent.StorageCommitmentTransactionUID, &report)
		if report.Status != "Pending" {
			break
		}
		time.Sleep(20 * time.Millisecond) // Orthanc has nothing to wait for
	}
	if report.Status != "Success" {
		t.Errorf("status %q", report.Status)
	}
}

func TestOrthancCommits(t *testing.T) {
	s := open(t)
	got, to := commitmentsTo(t, s)
	peer := dimsetest.Orthanc(t, "ORTHANC", map[string]int{"TESTER": to.node.Port}, nil)
	objects := s.fill(samples(t)[:2]...)
	node := Node{AETitle: "ORTHANC", Host: "127.0.0.1", Port: peer.Port}
	c, err := Dial(t.Context(), node, ClientConfig{AETitle: "TESTER", Limits: silent}, append(offersFor(objects...), OfferCommitment())...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Store(t.Context(), objects[0]); err != nil {
		t.Fatal(err)
	}
	if err := c.RequestCommitment(t.Context(), "1.2.3.4", referencesTo(objects)); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := <-got
	if len(report.Committed) != 1 || len(report.Failed) != 1 || report.Failed[0].Reason != NoSuchInstance || report.From != "ORTHANC" {
		t.Errorf("%+v", report)
	}
}
