package dimse

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
)

// found runs a query and returns the matches.
func found(t *testing.T, c *Client, root Root, d *dicom.Dataset) []*dicom.Dataset {
	t.Helper()
	var all []*dicom.Dataset
	for match, err := range c.Find(t.Context(), root, d) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, match)
	}
	return all
}

// statusOf is the status that an operation was refused with.
func statusOf(t *testing.T, err error) Status {
	t.Helper()
	var refused *StatusError
	if !errors.As(err, &refused) {
		t.Fatalf("no status: %v", err)
	}
	return refused.Status
}

func findStatus(t *testing.T, c *Client, root Root, d *dicom.Dataset) Status {
	t.Helper()
	for _, err := range c.Find(t.Context(), root, d) {
		if err != nil {
			return statusOf(t, err)
		}
	}
	return Success
}

// twoStudies fills a site with a study of two series and one of one.
func twoStudies(t *testing.T, s *site) []Object {
	t.Helper()
	return s.fill(
		slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian),
		slice(t, "one", 1, 2, dicom.ExplicitVRLittleEndian),
		slice(t, "one", 2, 1, dicom.ImplicitVRLittleEndian),
		slice(t, "two", 1, 1, dicom.ExplicitVRBigEndian),
	)
}

func TestEveryLevelIsFoundInBothModels(t *testing.T) {
	s := open(t)
	twoStudies(t, s)
	c := s.dial(OfferFind(StudyRoot), OfferFind(PatientRoot))
	patient := found(t, c, PatientRoot, keys(archive.PatientLevel, dict.PatientID, "", dict.PatientName, ""))
	if len(patient) != 1 {
		t.Fatalf("%d patients", len(patient))
	}
	id := patient[0].Text(dict.PatientID)
	for _, root := range []Root{StudyRoot, PatientRoot} {
		studies := found(t, c, root, keys(archive.StudyLevel, dict.PatientID, id, dict.StudyInstanceUID, "", dict.StudyDescription, "o*"))
		if len(studies) != 1 || studies[0].Text(dict.StudyDescription) != "one" {
			t.Fatalf("%d studies", len(studies))
		}
		uid := studies[0].Text(dict.StudyInstanceUID)
		series := found(t, c, root, keys(archive.SeriesLevel, dict.PatientID, id, dict.StudyInstanceUID, uid, dict.SeriesInstanceUID, ""))
		if len(series) != 2 {
			t.Fatalf("%d series", len(series))
		}
		n := 0
		for _, one := range series {
			n += len(found(t, c, root, keys(archive.InstanceLevel, dict.PatientID, id, dict.StudyInstanceUID, uid,
				dict.SeriesInstanceUID, one.Text(dict.SeriesInstanceUID), dict.SOPInstanceUID, "")))
		}
		if n != 3 {
			t.Errorf("%d instances", n)
		}
	}
}

func TestMatchesHaveTheKeysOfTheRequest(t *testing.T) {
	s := open(t)
	s.fill(slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian, dicomtest.With(
		&dicom.Element{Tag: dict.RequestAttributesSequence, VR: dict.SQ, Items: []*dicom.Dataset{keysItem()}})))
	request := keys(archive.StudyLevel, dict.StudyInstanceUID, "", dict.PatientName, "", dict.StudyTime, "", dict.StudyComments, "")
	request.SetItems(dict.RequestAttributesSequence)
	for _, offer := range plainSyntaxes {
		c := s.dial(Offer{Class: dict.StudyRootQueryRetrieveInformationModelFind, Syntaxes: []dicom.UID{offer}})
		match := found(t, c, StudyRoot, request)[0]
		var tags []string
		for e := range match.All() {
			tags = append(tags, e.Tag.Hex())
		}
		want := "00080005 00080030 00080052 00080054 00080056 00100010 0020000D 00324000 00400275"
		if got := strings.Join(tags, " "); got != want {
			t.Errorf("attributes %s\nwant       %s", got, want)
		}
		if !match.Get(dict.StudyComments).Empty() || match.Text(dict.RetrieveAETitle) != "PHAROS" || match.Text(dict.QueryRetrieveLevel) != "STUDY" {
			t.Errorf("unexpected values in %v", tags)
		}
	}
}

func keysItem() *dicom.Dataset {
	item := dicom.NewDataset()
	item.SetText(dict.ScheduledProcedureStepID, dict.SH, "STEP1")
	item.SetText(dict.RequestedProcedureID, dict.SH, "PROC1")
	return item
}

func TestSequenceKeysMatchAndReturnWhatIsAskedFor(t *testing.T) {
	s := open(t)
	s.fill(slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian, dicomtest.With(
		&dicom.Element{Tag: dict.RequestAttributesSequence, VR: dict.SQ, Items: []*dicom.Dataset{keysItem()}})))
	c := s.dial(Offer{Class: dict.StudyRootQueryRetrieveInformationModelFind, Syntaxes: plainSyntaxes, Relational: true})
	for procedure, want := range map[string]int{"PROC1": 1, "PROC?": 1, "OTHER": 0} {
		request := keys(archive.SeriesLevel, dict.SeriesInstanceUID, "")
		item := dicom.NewDataset()
		item.SetText(dict.RequestedProcedureID, dict.SH, procedure)
		request.SetItems(dict.RequestAttributesSequence, item)
		matches := found(t, c, StudyRoot, request)
		if len(matches) != want {
			t.Fatalf("%s: %d matches", procedure, len(matches))
		}
		if want == 1 {
			got := matches[0].Items(dict.RequestAttributesSequence)
			if len(got) != 1 || got[0].Len() != 1 || got[0].Text(dict.RequestedProcedureID) != "PROC1" {
				t.Errorf("sequence of %d items", len(got))
			}
		}
	}
}

func TestUnsupportedKeysAreTold(t *testing.T) {
	s := open(t)
	s.fill(slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian))
	c := s.dial(OfferFind(StudyRoot))
	for want, key := range map[Status]dicom.Tag{
		PendingStatus: dict.StudyDate, PendingUnknownKey: dict.StudyComments,
	} {
		id, rq, err := c.ask(CFindRQ, StudyRoot.findClass(), keys(archive.StudyLevel, key, ""))
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.await(CFindRSP, rq.MessageID)
		if err != nil || m.Status != want {
			t.Errorf("%v: %v, %v", key, m.Status, err)
		}
		if err := c.abandon(id, rq.MessageID); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAnswersKeepTheAskersCharacterSetWhereItSuffices(t *testing.T) {
	s := open(t)
	s.fill(slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian, dicomtest.WithPatient(dicomtest.Patient{Name: "Müller^Jörg", ID: "P1", Charset: []string{"ISO_IR 100"}})))
	c := s.dial(OfferFind(StudyRoot))
	for asked, want := range map[string]string{"": utf8, "ISO_IR 100": "ISO_IR 100", "ISO_IR 144": utf8, "ISO_IR 192": utf8} {
		request := keys(archive.StudyLevel, dict.PatientName, "")
		request.SetText(dict.SpecificCharacterSet, dict.CS, asked)
		match := found(t, c, StudyRoot, request)[0]
		if got := match.Text(dict.SpecificCharacterSet); got != want {
			t.Errorf("asked in %q: answer in %q", asked, got)
		}
		if got := match.Text(dict.PatientName); got != "Müller^Jörg" {
			t.Errorf("asked in %q: name %q", asked, got)
		}
	}
}

func TestHigherUniqueKeysAreNeededUnlessNegotiated(t *testing.T) {
	s := open(t)
	twoStudies(t, s)
	relational := Offer{Class: dict.StudyRootQueryRetrieveInformationModelFind, Syntaxes: plainSyntaxes, Relational: true}
	request := keys(archive.SeriesLevel, dict.SeriesInstanceUID, "")
	if got := findStatus(t, s.dial(OfferFind(StudyRoot)), StudyRoot, request); got != IdentifierMismatch {
		t.Errorf("hierarchical: %v", got)
	}
	if n := len(found(t, s.dial(relational), StudyRoot, request)); n != 3 {
		t.Errorf("relational: %d series", n)
	}
	lenient := open(t, func(c *ServerConfig) { c.AlwaysRelational = true })
	twoStudies(t, lenient)
	if n := len(found(t, lenient.dial(OfferFind(StudyRoot)), StudyRoot, request)); n != 3 {
		t.Errorf("by configuration: %d series", n)
	}
}

func TestFuzzyMatchingIsNegotiated(t *testing.T) {
	s := open(t)
	s.fill(slice(t, "one", 1, 1, dicom.ExplicitVRLittleEndian, dicomtest.WithPatient(dicomtest.Patient{Name: "Doe^John", ID: "P1"})))
	request := keys(archive.StudyLevel, dict.PatientName, "john d")
	fuzzy := Offer{Class: dict.StudyRootQueryRetrieveInformationModelFind, Syntaxes: plainSyntaxes, Fuzzy: true}
	if n := len(found(t, s.dial(fuzzy), StudyRoot, request)); n != 1 {
		t.Errorf("fuzzy: %d", n)
	}
	if n := len(found(t, s.dial(OfferFind(StudyRoot)), StudyRoot, request)); n != 0 {
		t.Errorf("literal: %d", n)
	}
}

func TestQueriesThatCannotBeUnderstoodAreRefused(t *testing.T) {
	s := open(t)
	c := s.dial(OfferFind(StudyRoot), OfferFind(PatientRoot), OfferEcho())
	level := func(text string) *dicom.Dataset {
		d := keys(archive.StudyLevel)
		d.SetText(dict.QueryRetrieveLevel, dict.CS, text)
		return d
	}
	items := keys(archive.StudyLevel)
	items.SetItems(dict.ProcedureCodeSequence, dicom.NewDataset(), dicom.NewDataset())
	for name, q := range map[string]struct {
		root  Root
		query *dicom.Dataset
	}{
		"no level":                {StudyRoot, level("")},
		"unknown level":           {StudyRoot, level("FRAME")},
		"patient in study root":   {StudyRoot, keys(archive.PatientLevel)},
		"no such date":            {StudyRoot, keys(archive.StudyLevel, dict.StudyDate, "someday")},
		"several items":           {StudyRoot, items},
		"D34 twenty thousand UID": {StudyRoot, keys(archive.StudyLevel, dict.StudyInstanceUID, strings.Repeat(`1.2.3\`, 20_001))},
	} {
		if got := findStatus(t, c, q.root, q.query); got != IdentifierMismatch && got != UnableToProcess {
			t.Errorf("%s: %v", name, got)
		}
	}
	if err := c.Echo(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestErrorsOfQueriesBecomeStatuses(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Status
	}{
		{archive.ErrQuery, IdentifierMismatch},
		{access.ErrDenied, NotAuthorized},
		{access.ErrHidden, Success},
		{context.DeadlineExceeded, OutOfResources},
		{errors.New("the name of a patient"), InternalFailure},
	} {
		s := open(t, func(config *ServerConfig) { config.Archive = failing{config.Archive, c.err} })
		if got := findStatus(t, s.dial(OfferFind(StudyRoot)), StudyRoot, keys(archive.StudyLevel)); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

// failing is an archive whose queries fail.
type failing struct {
	archive.Archive
	err error
}

func (f failing) Query(context.Context, archive.Query, access.Scope) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) { yield(nil, fmt.Errorf("wrapped: %w", f.err)) }
}

// endless is an archive whose queries match until the asker has enough.
type endless struct {
	archive.Archive
	stopped chan struct{}
}

func (e endless) Query(ctx context.Context, _ archive.Query, _ access.Scope) iter.Seq2[*dicom.Dataset, error] {
	return func(yield func(*dicom.Dataset, error) bool) {
		defer close(e.stopped)
		d := dicom.NewDataset()
		d.SetText(dict.StudyInstanceUID, dict.UI, "1.2.3")
		for ctx.Err() == nil && yield(d, nil) {
		}
	}
}

func TestCancelledQueryEnds(t *testing.T) {
	stopped := make(chan struct{})
	s := open(t, func(c *ServerConfig) { c.Archive = endless{c.Archive, stopped} })
	c := s.dial(OfferFind(StudyRoot), OfferEcho())
	n := 0
	for _, err := range c.Find(t.Context(), StudyRoot, keys(archive.StudyLevel, dict.StudyInstanceUID, "")) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n == 3 {
			break
		}
	}
	<-stopped
	if err := c.Echo(t.Context()); err != nil {
		t.Errorf("association is of no use after a cancelled query: %v", err)
	}
}
