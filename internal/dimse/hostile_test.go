package dimse

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// raw requests an association for every service, on which a test sends what it likes.
func (s *site) raw() (*Client, map[string]byte) {
	s.t.Helper()
	c := s.dial(OfferEcho(), OfferFind(StudyRoot), OfferMove(StudyRoot), OfferCommitment(),
		Offer{Class: dict.CTImageStorage, Syntaxes: plainSyntaxes})
	ids := map[string]byte{}
	for _, x := range c.assoc.Contexts() {
		ids[x.AbstractSyntax] = x.ID
	}
	return c, ids
}

func TestUnknownAndMisplacedRequestsAreAnswered(t *testing.T) {
	s := open(t)
	c, ids := s.raw()
	for name, rq := range map[string]struct {
		context string
		command Command
		want    Status
	}{
		"D24 unknown command":     {dict.Verification, Command{Field: 0x0042}, Unrecognized},
		"N-CREATE":                {dict.Verification, Command{Field: 0x0140}, Unrecognized},
		"C-STORE by Verification": {dict.Verification, Command{Field: CStoreRQ}, NotSupported},
		"C-ECHO by C-FIND":        {dict.StudyRootQueryRetrieveInformationModelFind, Command{Field: CEchoRQ}, NotSupported},
		"report without role":     {dict.StorageCommitmentPushModel, Command{Field: NEventReportRQ, EventType: 1}, NotSupported},
		"C-FIND without identifier": {dict.StudyRootQueryRetrieveInformationModelFind,
			Command{Field: CFindRQ, SOPClass: dict.StudyRootQueryRetrieveInformationModelFind}, UnableToProcess},
		"C-MOVE of another class": {dict.StudyRootQueryRetrieveInformationModelMove,
			Command{Field: CMoveRQ, SOPClass: dict.CTImageStorage, DataSet: true}, NotSupported},
		"C-STORE of another class": {dict.CTImageStorage,
			Command{Field: CStoreRQ, SOPClass: dict.MRImageStorage, SOPInstance: "1.2", DataSet: true}, NotSupported},
		"N-ACTION of another type": {dict.StorageCommitmentPushModel, Command{Field: NActionRQ, ActionType: 9,
			SOPClass: dict.StorageCommitmentPushModel, SOPInstance: dict.StorageCommitmentPushModelInstance}, NoSuchActionType},
	} {
		command := rq.command
		command.MessageID = c.messageID()
		var err error
		if command.DataSet {
			err = c.sendDataset(ids[rq.context], &command, dicom.NewDataset())
		} else {
			err = c.send(ids[rq.context], &command)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		rsp, err := c.await(command.Field|responseBit, command.MessageID)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if rsp.Status != rq.want {
			t.Errorf("%s: status %v, want %v", name, rsp.Status, rq.want)
		}
	}
	if err := c.Echo(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestResponsesAndCancellationsOutOfPlaceAreIgnored(t *testing.T) { // D23, D37
	s := open(t)
	c, ids := s.raw()
	for _, command := range []Command{
		{Field: CEchoRSP, MessageID: 77}, {Field: CStoreRSP, MessageID: 1},
		{Field: CCancelRQ, MessageID: 4711}, {Field: NEventReportRP, MessageID: 1},
	} {
		if err := c.send(ids[dict.Verification], &command); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Echo(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTruncatedCommandEndsTheAssociation(t *testing.T) { // D22
	s := open(t)
	c, ids := s.raw()
	whole := (&Command{Field: CEchoRQ, MessageID: 1, SOPClass: dict.Verification}).append(nil)
	if err := c.assoc.Send(ids[dict.Verification], whole[:len(whole)-3]); err != nil {
		t.Fatal(err)
	}
	var abort *ul.Abort
	if _, err := c.receive(); !errors.As(err, &abort) {
		t.Errorf("not aborted: %v", err)
	}
}

func TestQueriesOfGarbageAreRefusedInBoundedTime(t *testing.T) { // D33, D36
	s := open(t)
	c, ids := s.raw()
	deep := unhex(t, "0800 5200 4353 0600 535455445920")
	for range 5000 {
		deep = append(deep, unhex(t, "0800 1111 5351 0000 ffffffff feff 00e0 ffffffff")...)
	}
	for name, identifier := range map[string][]byte{
		"garbage":  bytes.Repeat([]byte("garbage!"), 1000),
		"nested":   deep,
		"too long": bytes.Repeat([]byte{0}, DefaultMaxIdentifier+1),
		"empty":    nil,
	} {
		class := StudyRoot.findClass()
		rq := Command{Field: CFindRQ, MessageID: c.messageID(), SOPClass: class}
		err := c.sendWith(ids[string(class)], &rq, func(w io.Writer) error {
			_, err := w.Write(identifier)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		rsp, err := c.await(CFindRSP, rq.MessageID)
		if err != nil || !rsp.Status.Failure() {
			t.Errorf("%s: %v, %v", name, rsp.Status, err)
		}
	}
}

func TestRequestDuringAnotherOperationEndsTheAssociation(t *testing.T) {
	stopped := make(chan struct{})
	s := open(t, func(c *ServerConfig) { c.Archive = endless{c.Archive, stopped} })
	c, ids := s.raw()
	if _, _, err := c.ask(CFindRQ, StudyRoot.findClass(), keys(archive.StudyLevel)); err != nil {
		t.Fatal(err)
	}
	if err := c.send(ids[dict.Verification], &Command{Field: CEchoRQ, MessageID: 2, SOPClass: dict.Verification}); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := c.receive(); err != nil {
			break
		}
	}
	<-stopped
}

func TestInstanceThatBreaksOffIsNotStored(t *testing.T) { // D39
	s := open(t)
	file := dicomtest.Bytes(t, dicomtest.CT(), dicom.ExplicitVRLittleEndian)
	o := object(t, file)
	source, err := o.Dataset(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(source)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		c := s.dial(offersFor(o)...)
		to, err := c.storageContext(o)
		if err != nil {
			t.Fatal(err)
		}
		rq := Command{Field: CStoreRQ, MessageID: 1, SOPClass: o.Class, SOPInstance: o.Instance, DataSet: true}
		w, err := c.assoc.SendWithDataSet(to.ID, rq.append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data[:len(data)-100]); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		w.Cancel()
	}
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := len(s.archive.instances(dicom.Ref{})); n != 0 {
		t.Errorf("%d instances", n)
	}
}

func TestStrangersAndOtherNamesAreRejected(t *testing.T) {
	s := open(t, func(c *ServerConfig) {
		c.Accepted = []string{"ALIAS"}
		known := c.Authenticate
		c.Authenticate = func(ctx context.Context, who Caller) (access.Principal, error) {
			if who.CallingAET != "TESTER" || who.RemoteAddr == nil || who.CalledAET == "" {
				return access.Principal{}, errors.New("stranger")
			}
			return known(ctx, who)
		}
	})
	for _, c := range []struct {
		calling, called string
		want            ul.RejectReason
	}{
		{"TESTER", "PHAROS", 0}, {"TESTER", "ALIAS", 0},
		{"TESTER", "OTHER", ul.RejectCalledAET}, {"NOBODY", "PHAROS", ul.RejectCallingAET},
	} {
		node := s.node
		node.AETitle = c.called
		client, err := Dial(t.Context(), node, ClientConfig{AETitle: c.calling, Limits: silent}, OfferEcho())
		var rejected *ul.Reject
		switch {
		case c.want == 0 && err == nil:
			_ = client.Close()
		case c.want == 0 || !errors.As(err, &rejected) || rejected.Reason != c.want:
			t.Errorf("%s calls %s: %v", c.calling, c.called, err)
		}
	}
}

func TestClassesAreStoredAsConfigured(t *testing.T) {
	const private, other = "1.2.3.999.1", "1.2.3.999.2"
	for name, c := range map[string]struct {
		change         func(*ServerConfig)
		private, other bool
	}{
		"standard": {func(*ServerConfig) {}, false, false},
		"private":  {func(c *ServerConfig) { c.PrivateClasses = []dicom.UID{private} }, true, false},
		"any":      {func(c *ServerConfig) { c.AnyClass = true }, true, true},
	} {
		s := open(t, c.change)
		client := s.dial(
			Offer{Class: private, Syntaxes: plainSyntaxes}, Offer{Class: other, Syntaxes: plainSyntaxes},
			Offer{Class: dict.ModalityWorklistInformationModelFind, Syntaxes: plainSyntaxes},
			Offer{Class: dict.CTImageStorage, Syntaxes: []dicom.UID{"1.2.3.4.5"}})
		accepted := func(class string) bool { return len(client.assoc.ContextsFor(class)) > 0 }
		if accepted(private) != c.private || accepted(other) != c.other {
			t.Errorf("%s: private %v, other %v", name, accepted(private), accepted(other))
		}
		if accepted(dict.ModalityWorklistInformationModelFind) || accepted(dict.CTImageStorage) {
			t.Errorf("%s: accepted what is not supported", name)
		}
	}
}

func TestEverySyntaxIsAcceptedForEveryStorageClass(t *testing.T) {
	server := open(t).server
	for u := range dict.StorageClasses() {
		for _, ts := range dicom.TransferSyntaxes() {
			r := server.decide(ul.PresentationContext{ID: 1, AbstractSyntax: u.Value, TransferSyntaxes: []string{"1.2.3", string(ts.UID), string(dicom.ImplicitVRLittleEndian)}})
			if r.Result != ul.Acceptance || r.TransferSyntax != string(ts.UID) {
				t.Errorf("%s in %s: %v in %s", u.Name, ts.Name, r.Result, r.TransferSyntax)
			}
		}
	}
}

func TestExtendedNegotiationIsAnsweredByteByByte(t *testing.T) {
	for _, c := range []struct {
		class          string
		asked, granted string
	}{
		{dict.StudyRootQueryRetrieveInformationModelFind, "0101010101", "0101010000"},
		{dict.StudyRootQueryRetrieveInformationModelFind, "000001", "000001"},
		{dict.StudyRootQueryRetrieveInformationModelFind, "01", "01"},
		{dict.StudyRootQueryRetrieveInformationModelFind, "", ""},
		{dict.PatientRootQueryRetrieveInformationModelMove, "0101", "0100"},
		{dict.PatientRootQueryRetrieveInformationModelGet, "01", "01"},
	} {
		_, got, ok := answerExtended(ul.ExtendedNegotiation{SOPClassUID: c.class, Info: unhex(t, c.asked)})
		if !ok || !bytes.Equal(got.Info, unhex(t, c.granted)) {
			t.Errorf("%s: %x, want %s", c.asked, got.Info, c.granted)
		}
	}
	if _, _, ok := answerExtended(ul.ExtendedNegotiation{SOPClassUID: dict.CTImageStorage, Info: []byte{1}}); ok {
		t.Error("storage was answered")
	}
}

func FuzzIdentifier(f *testing.F) {
	for _, d := range []*dicom.Dataset{
		keys(archive.StudyLevel, dict.PatientName, "A*", dict.StudyDate, "20200101-", dict.StudyInstanceUID, `1.2\1.3`),
		keys(archive.PatientLevel, dict.PatientID, "1"), keys(archive.InstanceLevel, dict.SOPInstanceUID, "1.2"),
	} {
		d.SetItems(dict.RequestAttributesSequence, keysItem())
		var b bytes.Buffer
		if err := dicom.WriteDataset(&b, d, dicom.ImplicitVRLittleEndian, nil); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), true)
	}
	supported := archive.NewKeys()
	f.Fuzz(func(t *testing.T, b []byte, relational bool) {
		d, err := readIdentifier(bytes.NewReader(b), dicom.ImplicitVRLittleEndian, 1<<16)
		if err != nil {
			checkRefusal(t, err)
			return
		}
		for _, m := range []model{patientRoot, studyRoot} {
			id, err := newIdentifier(d, m, relational)
			if err != nil {
				checkRefusal(t, err)
				continue
			}
			q, err := id.question(supported, options{})
			if err != nil {
				checkRefusal(t, err)
				continue
			}
			if q.query.Level != id.level || len(q.query.Match) > d.Len()*identifierLimits.Elements {
				t.Fatalf("query at %v of %d conditions", q.query.Level, len(q.query.Match))
			}
			checkAnswer(t, id.answer(dicom.NewDataset(), "PHAROS"))
		}
	})
}

// checkRefusal checks that an error of an identifier has a status of its own and a
// comment that fits.
func checkRefusal(t *testing.T, err error) {
	t.Helper()
	f, known := refusalOf(CFindRQ, err)
	if !known || !f.status.Failure() || len(f.comment) > 64 {
		t.Fatalf("%v becomes %v %q", err, f.status, f.comment)
	}
}

// checkAnswer checks that an answer can be written and read.
func checkAnswer(t *testing.T, d *dicom.Dataset) {
	t.Helper()
	var b bytes.Buffer
	if err := dicom.WriteDataset(&b, d, dicom.ExplicitVRLittleEndian, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := dicom.ReadDataset(&b, dicom.ExplicitVRLittleEndian, dicom.Limits{}); err != nil {
		t.Fatal(err)
	}
}

func TestCommentsFitTheirElement(t *testing.T) { // LO: 64 characters, PS3.5 §6.2
	for _, table := range [][]refusal{storeRefusals, queryRefusals, retrieveRefusals, commitRefusals} {
		for _, r := range table {
			if len(r.comment) > 64 {
				t.Errorf("%q", r.comment)
			}
		}
	}
}
