package ul

// PDU types of PS3.8 §9.3.1.
const (
	pduAssociateRQ byte = 0x01
	pduAssociateAC byte = 0x02
	pduAssociateRJ byte = 0x03
	pduData        byte = 0x04
	pduReleaseRQ   byte = 0x05
	pduReleaseRP   byte = 0x06
	pduAbort       byte = 0x07
)

// Item and sub-item types of PS3.8 §9.3 and PS3.7 Annex D.3.3.
const (
	itemApplicationContext byte = 0x10
	itemContextRQ          byte = 0x20
	itemContextAC          byte = 0x21
	itemAbstractSyntax     byte = 0x30
	itemTransferSyntax     byte = 0x40
	itemUserInformation    byte = 0x50
	itemMaximumLength      byte = 0x51
	itemImplementationUID  byte = 0x52
	itemAsyncWindow        byte = 0x53
	itemRoleSelection      byte = 0x54
	itemImplementationName byte = 0x55
	itemExtended           byte = 0x56
	itemCommonExtended     byte = 0x57
	itemUserIdentityRQ     byte = 0x58
	itemUserIdentityAC     byte = 0x59
)

const (
	// ApplicationContext is the only application context name that DICOM
	// defines (PS3.7 §A.2.1).
	ApplicationContext = "1.2.840.10008.3.1.1.1"

	// protocolVersion has bit 0 set: version 1, the only one (PS3.8 §9.3.2).
	protocolVersion uint16 = 1

	pduHeaderSize = 6 // type, reserved, length (4)
	pdvHeaderSize = 6 // length (4), presentation context ID, message control header

	// fixedAssociateSize is what an A-ASSOCIATE-RQ or -AC has before its variable
	// items: version (2), reserved (2), two AE titles (32), reserved (32).
	fixedAssociateSize = 68

	// controlPDUSize is the PDU length of A-ASSOCIATE-RJ, A-RELEASE-RQ and -RP
	// and A-ABORT.
	controlPDUSize = 4

	// Bits of the message control header, PS3.8 §E.2.
	flagCommand byte = 0x01
	flagLast    byte = 0x02
)

// AssociateRQ is an A-ASSOCIATE-RQ PDU, PS3.8 §9.3.2.
type AssociateRQ struct {
	ProtocolVersion    uint16
	CalledAET          string // without padding
	CallingAET         string // without padding
	ApplicationContext string
	Contexts           []PresentationContext
	User               UserInformation
}

// PresentationContext is one proposal of an association requestor, PS3.8 §9.3.2.2.
type PresentationContext struct {
	ID               byte // odd, 1 to 255
	AbstractSyntax   string
	TransferSyntaxes []string // in the order of preference of the requestor
}

// AssociateAC is an A-ASSOCIATE-AC PDU, PS3.8 §9.3.3. The AE titles only
// repeat the request and mean nothing to the receiver.
type AssociateAC struct {
	ProtocolVersion    uint16
	CalledAET          string
	CallingAET         string
	ApplicationContext string
	Contexts           []ContextResult
	User               UserInformation
}

// ContextResult answers one proposed presentation context, PS3.8 §9.3.3.2.
type ContextResult struct {
	ID             byte
	Result         Result
	TransferSyntax string // significant only when Result is Acceptance
}

// Result is the result of the negotiation of one presentation context, PS3.8
// Table 9-18.
type Result byte

// The results of PS3.8 Table 9-18.
const (
	Acceptance                   Result = 0
	UserRejection                Result = 1
	NoReason                     Result = 2
	AbstractSyntaxNotSupported   Result = 3
	TransferSyntaxesNotSupported Result = 4
)

// UserInformation holds the sub-items of the user information item, PS3.8
// §D.1 and PS3.7 §D.3.3. Absent sub-items are zero, nil or empty.
type UserInformation struct {
	MaxLength                 uint32 // greatest P-DATA-TF length the sender can receive, in bytes; 0 is unlimited
	ImplementationClassUID    string
	ImplementationVersionName string
	AsyncWindow               *AsyncWindow
	Roles                     []RoleSelection
	Extended                  []ExtendedNegotiation
	CommonExtended            []CommonExtendedNegotiation // A-ASSOCIATE-RQ only
	Identity                  *UserIdentity               // A-ASSOCIATE-RQ only
	IdentityResponse          []byte                      // A-ASSOCIATE-AC only; nil when absent
}

// AsyncWindow is the asynchronous operations window, PS3.7 §D.3.3.3; 0 is
// unlimited.
type AsyncWindow struct {
	Invoked   uint16 // operations the sender of the item may have outstanding
	Performed uint16 // operations the sender of the item can perform at a time
}

// RoleSelection is the SCP/SCU role selection of one SOP class, PS3.7
// §D.3.3.4. In a request it says which roles the requestor proposes for
// itself, in an acceptance which of them the acceptor allows.
type RoleSelection struct {
	SOPClassUID string
	SCU, SCP    bool
}

// ExtendedNegotiation is the SOP class extended negotiation of PS3.7
// §D.3.3.5. Info belongs to the service class.
type ExtendedNegotiation struct {
	SOPClassUID string
	Info        []byte
}

// CommonExtendedNegotiation is the SOP class common extended negotiation of
// PS3.7 §D.3.3.6.
type CommonExtendedNegotiation struct {
	SOPClassUID       string
	ServiceClassUID   string
	RelatedSOPClasses []string
}

// IdentityType says what a UserIdentity carries, PS3.7 Table D.3-14.
type IdentityType byte

// The identity types of PS3.7 Table D.3-14.
const (
	IdentityUsername         IdentityType = 1
	IdentityUsernamePasscode IdentityType = 2
	IdentityKerberos         IdentityType = 3
	IdentitySAML             IdentityType = 4
	IdentityJWT              IdentityType = 5
)

// UserIdentity is the user identity negotiation of PS3.7 §D.3.3.7. Its fields
// are secrets; do not log them.
type UserIdentity struct {
	Type             IdentityType
	ResponseRequired bool   // the requestor asks for an IdentityResponse
	Primary          []byte // user name, Kerberos ticket, SAML assertion or JSON web token
	Secondary        []byte // passcode, with IdentityUsernamePasscode only
}
