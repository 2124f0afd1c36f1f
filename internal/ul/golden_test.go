package ul

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
)

// wire turns annotated hexadecimal into bytes: what follows "|" on a line is a
// comment, and "quoted text" stands for itself.
func wire(t testing.TB, annotated string) []byte {
	t.Helper()
	var out []byte
	for line := range strings.Lines(annotated) {
		field, _, _ := strings.Cut(line, "|")
		field = strings.TrimSpace(field)
		if quoted, ok := strings.CutPrefix(field, `"`); ok {
			out = append(out, strings.TrimSuffix(quoted, `"`)...)
			continue
		}
		b, err := hex.DecodeString(strings.ReplaceAll(field, " ", ""))
		if err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, b...)
	}
	return out
}

const goldenRQ = `
01                                | PDU type: A-ASSOCIATE-RQ
00                                | reserved
00 00 01 60                       | PDU length: 352
00 01                             | protocol version
00 00                             | reserved
"ARCHIVE         "                | called AE title
"CT1             "                | calling AE title
00000000 00000000 00000000 00000000 | reserved
00000000 00000000 00000000 00000000
10 00 00 15                       | application context item, length 21
"1.2.840.10008.3.1.1.1"
20 00 00 2e                       | presentation context item, length 46
01 00 00 00                       | ID 1, reserved
30 00 00 11                       | abstract syntax, length 17
"1.2.840.10008.1.1"               | Verification
40 00 00 11                       | transfer syntax, length 17
"1.2.840.10008.1.2"               | Implicit VR Little Endian
20 00 00 4b                       | presentation context item, length 75
03 00 00 00                       | ID 3, reserved
30 00 00 17                       | abstract syntax, length 23
"1.2.840.10008.5.1.4.1.1"
40 00 00 13                       | transfer syntax, length 19
"1.2.840.10008.1.2.1"             | Explicit VR Little Endian
40 00 00 11                       | transfer syntax, length 17
"1.2.840.10008.1.2"
50 00 00 7e                       | user information item, length 126
51 00 00 04                       | maximum length sub-item
00 02 00 00                       | 131072
52 00 00 06                       | implementation class UID
"2.25.1"
53 00 00 04                       | asynchronous operations window
00 05                             | operations invoked
00 02                             | operations performed
54 00 00 0b                       | role selection
00 07                             | UID length
"1.2.3.4"                         | SOP class UID
01                                | SCU role
00                                | SCP role
55 00 00 0a                       | implementation version name
"PHAROS_0_1"
56 00 00 0e                       | SOP class extended negotiation
00 09                             | UID length
"1.2.3.4.5"                       | SOP class UID
01 01 00                          | service class application information
57 00 00 1e                       | SOP class common extended negotiation
00 07                             | SOP class UID length
"1.2.3.4"
00 03                             | service class UID length
"1.2"
00 0e                             | length of the related general SOP classes
00 05                             | UID length
"1.2.9"
00 05                             | UID length
"1.2.8"
58 00 00 0f                       | user identity
02                                | type: user name and passcode
01                                | positive response requested
00 05                             | primary field length
"alice"
00 04                             | secondary field length
"pass"
`

func goldenRequest() *AssociateRQ {
	return &AssociateRQ{
		ProtocolVersion:    1,
		CalledAET:          "ARCHIVE",
		CallingAET:         "CT1",
		ApplicationContext: "1.2.840.10008.3.1.1.1",
		Contexts: []PresentationContext{
			{ID: 1, AbstractSyntax: "1.2.840.10008.1.1", TransferSyntaxes: []string{"1.2.840.10008.1.2"}},
			{ID: 3, AbstractSyntax: "1.2.840.10008.5.1.4.1.1", TransferSyntaxes: []string{"1.2.840.10008.1.2.1", "1.2.840.10008.1.2"}},
		},
		User: UserInformation{
			MaxLength:                 131072,
			ImplementationClassUID:    "2.25.1",
			ImplementationVersionName: "PHAROS_0_1",
			AsyncWindow:               &AsyncWindow{Invoked: 5, Performed: 2},
			Roles:                     []RoleSelection{{SOPClassUID: "1.2.3.4", SCU: true}},
			Extended:                  []ExtendedNegotiation{{SOPClassUID: "1.2.3.4.5", Info: []byte{1, 1, 0}}},
			CommonExtended: []CommonExtendedNegotiation{{
				SOPClassUID: "1.2.3.4", ServiceClassUID: "1.2", RelatedSOPClasses: []string{"1.2.9", "1.2.8"},
			}},
			Identity: &UserIdentity{
				Type: IdentityUsernamePasscode, ResponseRequired: true, Primary: []byte("alice"), Secondary: []byte("pass"),
			},
		},
	}
}

const goldenAC = `
02                                | PDU type: A-ASSOCIATE-AC
00                                | reserved
00 00 00 d3                       | PDU length: 211
00 01                             | protocol version
00 00                             | reserved
"ARCHIVE         "                | reserved: called AE title of the request
"CT1             "                | reserved: calling AE title of the request
00000000 00000000 00000000 00000000 | reserved
00000000 00000000 00000000 00000000
10 00 00 15                       | application context item
"1.2.840.10008.3.1.1.1"
21 00 00 19                       | presentation context item, length 25
01 00                             | ID 1, reserved
00 00                             | result: acceptance, reserved
40 00 00 11                       | transfer syntax
"1.2.840.10008.1.2"
21 00 00 19                       | presentation context item
03 00                             | ID 3, reserved
03 00                             | result: abstract syntax not supported, reserved
40 00 00 11                       | transfer syntax, not significant
"1.2.840.10008.1.2"
50 00 00 38                       | user information item, length 56
51 00 00 04                       | maximum length
00 00 40 00                       | 16384
52 00 00 06                       | implementation class UID
"2.25.1"
53 00 00 04                       | asynchronous operations window
00 01
00 01
54 00 00 0b                       | role selection
00 07                             | UID length
"1.2.3.4"
01 01                             | SCU role, SCP role
55 00 00 03                       | implementation version name
"ABC"
59 00 00 04                       | user identity response
00 02                             | length
ca fe
`

func goldenAnswer() *AssociateAC {
	return &AssociateAC{
		ProtocolVersion:    1,
		CalledAET:          "ARCHIVE",
		CallingAET:         "CT1",
		ApplicationContext: "1.2.840.10008.3.1.1.1",
		Contexts: []ContextResult{
			{ID: 1, Result: Acceptance, TransferSyntax: "1.2.840.10008.1.2"},
			{ID: 3, Result: AbstractSyntaxNotSupported, TransferSyntax: "1.2.840.10008.1.2"},
		},
		User: UserInformation{
			MaxLength:                 16384,
			ImplementationClassUID:    "2.25.1",
			ImplementationVersionName: "ABC",
			AsyncWindow:               &AsyncWindow{Invoked: 1, Performed: 1},
			Roles:                     []RoleSelection{{SOPClassUID: "1.2.3.4", SCU: true, SCP: true}},
			IdentityResponse:          []byte{0xca, 0xfe},
		},
	}
}

func TestAssociateRQIsEncodedAndDecodedByteByByte(t *testing.T) {
	want := wire(t, goldenRQ)
	got, err := goldenRequest().append(nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("encoded (%v)\n%swant\n%s", err, hex.Dump(got), hex.Dump(want))
	}
	rq, err := decodeRQ(want[pduHeaderSize:])
	if err != nil || !reflect.DeepEqual(rq, goldenRequest()) {
		t.Errorf("decoded %+v, %v", rq, err)
	}
}

func TestAssociateACIsEncodedAndDecodedByteByByte(t *testing.T) {
	want := wire(t, goldenAC)
	got, err := goldenAnswer().append(nil)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("encoded (%v)\n%swant\n%s", err, hex.Dump(got), hex.Dump(want))
	}
	ac, err := decodeAC(want[pduHeaderSize:])
	if err != nil || !reflect.DeepEqual(ac, goldenAnswer()) {
		t.Errorf("decoded %+v, %v", ac, err)
	}
}

func TestControlPDUsAreEncodedByteByByte(t *testing.T) {
	for name, c := range map[string]struct {
		typ  byte
		v    [3]byte
		want string
	}{
		"A-ASSOCIATE-RJ": {pduAssociateRJ, [3]byte{2, 3, 2}, `
			03 00 00000004 | type, reserved, length
			00             | reserved
			02             | result: transient
			03             | source: service-provider, presentation
			02             | reason: local limit exceeded`},
		"A-RELEASE-RQ": {pduReleaseRQ, [3]byte{}, "05 00 00000004 00000000"},
		"A-RELEASE-RP": {pduReleaseRP, [3]byte{}, "06 00 00000004 00000000"},
		"A-ABORT": {pduAbort, [3]byte{0, 2, 6}, `
			07 00 00000004 | type, reserved, length
			00 00          | reserved
			02             | source: service-provider
			06             | reason: invalid PDU parameter value`},
	} {
		if got := appendControl(nil, c.typ, c.v); !bytes.Equal(got, wire(t, c.want)) {
			t.Errorf("%s: % x", name, got)
		}
	}
}

func TestUnknownItemsAreSkipped(t *testing.T) {
	rq := wire(t, goldenRQ)[pduHeaderSize:]
	rq = append(rq, 0x99, 0, 0, 3, 'a', 'b', 'c')
	got, err := decodeRQ(rq)
	if err != nil || !reflect.DeepEqual(got, goldenRequest()) {
		t.Errorf("decoded %+v, %v", got, err)
	}
}

func TestPaddedUIDsAndTitlesAreTrimmed(t *testing.T) {
	if got := uid([]byte("1.2.3\x00")); got != "1.2.3" {
		t.Errorf("UID %q", got)
	}
	if got := title([]byte("  CT 1 \x00\x00")); got != "CT 1" {
		t.Errorf("title %q", got)
	}
}

func TestWhatEndsTooSoonOrPromisesTooMuchIsMalformed(t *testing.T) {
	whole := wire(t, goldenRQ)[pduHeaderSize:]
	// Every cut is an error, except at the boundaries of the variable items.
	boundaries := map[int]bool{68: true, 93: true, 143: true, 222: true}
	for n := range whole {
		if _, err := decodeRQ(whole[:n]); err == nil && !boundaries[n] {
			t.Errorf("a request cut to %d bytes was decoded", n)
		}
	}
	long := bytes.Clone(whole)
	long[70], long[71] = 0xff, 0xff // length of the application context
	if _, err := decodeRQ(long); err == nil {
		t.Error("an item longer than its PDU was decoded")
	}
	twice := append(bytes.Clone(whole), itemUserInformation, 0, 0, 0)
	if _, err := decodeRQ(twice); err == nil {
		t.Error("two user information items were decoded")
	}
}

func TestWhatDoesNotFitIsNotEncoded(t *testing.T) {
	for name, change := range map[string]func(*AssociateRQ){
		"AE title":  func(rq *AssociateRQ) { rq.CalledAET = "SEVENTEEN_LETTERS" },
		"UID":       func(rq *AssociateRQ) { rq.Contexts[0].AbstractSyntax = strings.Repeat("1", 1<<16) },
		"identity":  func(rq *AssociateRQ) { rq.User.Identity.Primary = make([]byte, 1<<16) },
		"user info": func(rq *AssociateRQ) { rq.User.Extended[0].Info = make([]byte, 65500) },
	} {
		rq := goldenRequest()
		change(rq)
		if _, err := rq.append(nil); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzAssociate checks that what is decoded survives encoding and decoding, and
// that decoding costs memory in proportion to what was received.
func FuzzAssociate(f *testing.F) {
	f.Add(true, wire(f, goldenRQ)[pduHeaderSize:])
	f.Add(false, wire(f, goldenAC)[pduHeaderSize:])
	f.Add(true, make([]byte, fixedAssociateSize))
	f.Fuzz(func(t *testing.T, request bool, b []byte) {
		if request {
			roundTrip(t, b, decodeRQ, (*AssociateRQ).append)
		} else {
			roundTrip(t, b, decodeAC, (*AssociateAC).append)
		}
	})
}

func roundTrip[T any](t *testing.T, b []byte, decode func([]byte) (*T, error), encode func(*T, []byte) ([]byte, error)) {
	first, err := decode(b)
	if err != nil {
		return
	}
	if n := memory(reflect.ValueOf(first)); n > 32*len(b)+1024 {
		t.Fatalf("%d bytes became %d in memory", len(b), n)
	}
	encoded, err := encode(first, nil)
	if err != nil {
		if len(b) < 1<<16-16 {
			t.Fatalf("what was decoded is not encoded: %v", err)
		}
		return // the maximum length sub-item did not fit any more
	}
	second, err := decode(encoded[pduHeaderSize:])
	if err != nil {
		t.Fatalf("what was encoded is not decoded: %v", err)
	}
	if !reflect.DeepEqual(first, second) {
		t.Fatalf("first %+v\nsecond %+v", first, second)
	}
}

// memory returns about how many bytes v refers to.
func memory(v reflect.Value) int {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return 8
		}
		return 8 + memory(v.Elem())
	case reflect.String:
		return 16 + v.Len()
	case reflect.Slice:
		n := 24 + (v.Cap()-v.Len())*int(v.Type().Elem().Size())
		for i := range v.Len() {
			n += memory(v.Index(i))
		}
		return n
	case reflect.Struct:
		n := 0
		for i := range v.NumField() {
			n += memory(v.Field(i))
		}
		return n
	}
	return int(v.Type().Size())
}
