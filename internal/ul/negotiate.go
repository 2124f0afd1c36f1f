package ul

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
)

// Proposal is what an acceptor decides on. Its contexts have distinct odd IDs,
// at least one transfer syntax and valid UIDs; those that have not are answered
// already. Its AE titles are 1 to 16 printable ASCII characters.
type Proposal struct {
	*AssociateRQ
	RemoteAddr net.Addr
	TLS        *tls.ConnectionState // nil without TLS
}

// Decision is the decision to accept an association.
type Decision struct {
	// Contexts answers the proposed contexts; those it does not name are refused
	// as AbstractSyntaxNotSupported.
	Contexts []ContextResult

	// Roles answers role selection. What was not proposed is left out.
	Roles []RoleSelection

	// AsyncWindow answers the asynchronous operations window, if one was proposed.
	// Nil is 1 and 1: one operation at a time.
	AsyncWindow *AsyncWindow

	Extended         []ExtendedNegotiation
	IdentityResponse []byte // sent only if one was required
	Session          any    // handed on to Association.Session
}

// Negotiate decides on a proposal. A *Reject as the error is sent as it is, any
// other error as a transient rejection without reason.
type Negotiate func(context.Context, *Proposal) (*Decision, error)

// rejectionOf returns the A-ASSOCIATE-RJ for an error of Negotiate.
func rejectionOf(err error) *Reject {
	var r *Reject
	if errors.As(err, &r) {
		return r
	}
	return &Reject{Result: RejectedTransient, Source: RejectedByUser, Reason: RejectNoReason}
}

// examine is the part of the service-provider in AE-6: whether a request can be
// put to the user at all.
func (l *Limits) examine(rq *AssociateRQ) *Reject {
	switch {
	case rq.ProtocolVersion&protocolVersion == 0:
		return &Reject{RejectedPermanent, RejectedByACSE, RejectProtocolVersion}
	case rq.ApplicationContext != ApplicationContext:
		return &Reject{RejectedPermanent, RejectedByUser, RejectApplicationContext}
	case !validTitle(rq.CalledAET):
		return &Reject{RejectedPermanent, RejectedByUser, RejectCalledAET}
	case !validTitle(rq.CallingAET):
		return &Reject{RejectedPermanent, RejectedByUser, RejectCallingAET}
	case len(rq.Contexts) == 0, len(rq.Contexts) > l.MaxContexts, !validIDs(rq.Contexts):
		return &Reject{RejectedPermanent, RejectedByACSE, RejectNoReason}
	case rq.User.MaxLength != 0 && rq.User.MaxLength < smallestPDU:
		return &Reject{RejectedPermanent, RejectedByACSE, RejectNoReason}
	}
	return nil
}

// validIDs reports whether the IDs are odd and distinct, PS3.8 §9.3.2.2.
func validIDs(contexts []PresentationContext) bool {
	var seen [256]bool
	for _, c := range contexts {
		if c.ID%2 == 0 || seen[c.ID] {
			return false
		}
		seen[c.ID] = true
	}
	return true
}

// validTitle reports whether s is an AE title of PS3.5 §6.2.
func validTitle(s string) bool {
	if s == "" || len(s) > 16 {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '\\' {
			return false
		}
	}
	return true
}

// validUID reports whether s has the characters and the length of a UID, PS3.5
// §9.1. Leading zeros in components occur in the field and do no harm.
func validUID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		if s[i] != '.' && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

// presentable returns the contexts that are worth a decision.
func presentable(contexts []PresentationContext) []PresentationContext {
	var good []PresentationContext
	for _, c := range contexts {
		syntaxes := slices.DeleteFunc(slices.Clone(c.TransferSyntaxes), func(ts string) bool { return !validUID(ts) })
		if validUID(c.AbstractSyntax) && len(syntaxes) > 0 {
			good = append(good, PresentationContext{ID: c.ID, AbstractSyntax: c.AbstractSyntax, TransferSyntaxes: syntaxes})
		}
	}
	return good
}

// answer builds the A-ASSOCIATE-AC for a request.
func answer(rq *AssociateRQ, acc *Decision, limits *Limits, impl Implementation) *AssociateAC {
	ac := &AssociateAC{
		ProtocolVersion:    protocolVersion,
		CalledAET:          rq.CalledAET,
		CallingAET:         rq.CallingAET,
		ApplicationContext: ApplicationContext,
	}
	for _, c := range rq.Contexts {
		ac.Contexts = append(ac.Contexts, answerContext(c, acc.Contexts))
	}
	ac.User = UserInformation{
		MaxLength:                 limits.MaxPDU,
		ImplementationClassUID:    impl.ClassUID,
		ImplementationVersionName: impl.VersionName,
		Extended:                  acc.Extended,
	}
	if rq.User.AsyncWindow != nil {
		ac.User.AsyncWindow = acc.AsyncWindow
		if ac.User.AsyncWindow == nil {
			ac.User.AsyncWindow = &AsyncWindow{Invoked: 1, Performed: 1}
		}
	}
	for _, r := range acc.Roles {
		if proposed, ok := findRole(rq.User.Roles, r.SOPClassUID); ok {
			ac.User.Roles = append(ac.User.Roles, RoleSelection{r.SOPClassUID, r.SCU && proposed.SCU, r.SCP && proposed.SCP})
		}
	}
	if id := rq.User.Identity; id != nil && id.ResponseRequired && acc.IdentityResponse != nil {
		ac.User.IdentityResponse = acc.IdentityResponse
	}
	return ac
}

// implicitVRLittleEndian fills the transfer syntax of refused contexts, where
// it means nothing but has to be there (PS3.8 §9.3.3.2).
const implicitVRLittleEndian = "1.2.840.10008.1.2"

func answerContext(c PresentationContext, decided []ContextResult) ContextResult {
	for _, d := range decided {
		if d.ID != c.ID {
			continue
		}
		if d.Result == Acceptance && !slices.Contains(c.TransferSyntaxes, d.TransferSyntax) {
			d.Result = TransferSyntaxesNotSupported
		}
		if d.Result != Acceptance {
			d.TransferSyntax = implicitVRLittleEndian
		}
		return d
	}
	return ContextResult{ID: c.ID, Result: AbstractSyntaxNotSupported, TransferSyntax: implicitVRLittleEndian}
}

func findRole(roles []RoleSelection, sopClass string) (RoleSelection, bool) {
	for _, r := range roles {
		if r.SOPClassUID == sopClass {
			return r, true
		}
	}
	return RoleSelection{}, false
}

// established fills in what the exchange of rq and ac has settled.
func (a *Association) established(rq *AssociateRQ, ac *AssociateAC) {
	a.request, a.response = rq, ac
	for _, c := range rq.Contexts {
		n := negotiated(c, ac.Contexts)
		n.SCU, n.SCP = a.roles(c.AbstractSyntax)
		a.accepted[c.ID] = n.Result == Acceptance
		a.contexts = append(a.contexts, n)
	}
	longest := a.PeerMaxPDU()
	if longest == 0 || longest > largestSentPDU {
		longest = largestSentPDU
	}
	a.fragment = int(longest-pdvHeaderSize) &^ 1 // fragments are even, PS3.8 §E.1
}

// negotiated returns the outcome of one context. An acceptance with a transfer
// syntax that was not proposed cannot be used.
func negotiated(c PresentationContext, results []ContextResult) AcceptedContext {
	n := AcceptedContext{ID: c.ID, AbstractSyntax: c.AbstractSyntax, Result: NoReason}
	for _, r := range results {
		if r.ID != c.ID {
			continue
		}
		n.Result = r.Result
		if r.Result == Acceptance {
			n.TransferSyntax = r.TransferSyntax
			if !slices.Contains(c.TransferSyntaxes, r.TransferSyntax) {
				n.Result, n.TransferSyntax = TransferSyntaxesNotSupported, ""
			}
		}
		break
	}
	return n
}

// roles returns the roles of this side for a SOP class: what was proposed and
// allowed, else the default of PS3.7 §D.3.3.4, requestor SCU and acceptor SCP.
func (a *Association) roles(sopClass string) (scu, scp bool) {
	proposed, ok1 := findRole(a.request.User.Roles, sopClass)
	allowed, ok2 := findRole(a.response.User.Roles, sopClass)
	requestorSCU, requestorSCP := true, false
	if ok1 && ok2 {
		requestorSCU, requestorSCP = proposed.SCU && allowed.SCU, proposed.SCP && allowed.SCP
	}
	if a.requestor {
		return requestorSCU, requestorSCP
	}
	return requestorSCP, requestorSCU
}
