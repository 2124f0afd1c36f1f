package dimse

import (
	"slices"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// maxContexts is how many presentation contexts an association can have (PS3.8
// §9.3.2.2: the odd numbers of a byte).
const maxContexts = 128

// Offer is one presentation context to propose.
type Offer struct {
	Class    dicom.UID
	Syntaxes []dicom.UID

	// Provider proposes that this side provides the class instead of using it: that it
	// receives the instances of a C-GET.
	Provider bool

	// Relational and Fuzzy ask for relational queries and fuzzy matching of names, of a
	// Query/Retrieve class (PS3.4 §C.5).
	Relational, Fuzzy bool
}

// Root is the information model of a query or retrieval (PS3.4 §C.6).
type Root uint8

// The information models that are not retired.
const (
	StudyRoot Root = iota
	PatientRoot
)

func (r Root) findClass() dicom.UID {
	if r == PatientRoot {
		return dict.PatientRootQueryRetrieveInformationModelFind
	}
	return dict.StudyRootQueryRetrieveInformationModelFind
}

func (r Root) moveClass() dicom.UID {
	if r == PatientRoot {
		return dict.PatientRootQueryRetrieveInformationModelMove
	}
	return dict.StudyRootQueryRetrieveInformationModelMove
}

func (r Root) getClass() dicom.UID {
	if r == PatientRoot {
		return dict.PatientRootQueryRetrieveInformationModelGet
	}
	return dict.StudyRootQueryRetrieveInformationModelGet
}

// plainSyntaxes are offered for what is not an image.
var plainSyntaxes = []dicom.UID{dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian}

// OfferEcho is for Client.Echo.
func OfferEcho() Offer { return Offer{Class: dict.Verification, Syntaxes: plainSyntaxes} }

// OfferFind is for Client.Find.
func OfferFind(r Root) Offer { return Offer{Class: r.findClass(), Syntaxes: plainSyntaxes} }

// OfferMove is for Client.Move.
func OfferMove(r Root) Offer { return Offer{Class: r.moveClass(), Syntaxes: plainSyntaxes} }

// OfferCommitment is for Client.RequestCommitment.
func OfferCommitment() Offer {
	return Offer{Class: dict.StorageCommitmentPushModel, Syntaxes: plainSyntaxes}
}

// OfferGet is for Client.Get: the retrieval, and the classes that may arrive, each in
// the transfer syntaxes given (native ones if there are none). Where there is room, each
// syntax of a class has a presentation context of its own, so that everything can come as
// it is stored; otherwise the peer chooses one syntax for a class. Classes beyond what an
// association has room for are left out.
func OfferGet(r Root, classes []dicom.UID, syntaxes ...dicom.UID) []Offer {
	if len(syntaxes) == 0 {
		syntaxes = plainSyntaxes
	}
	choices := [][]dicom.UID{syntaxes}
	if 1+len(classes)*len(syntaxes) <= maxContexts {
		choices = slices.Collect(slices.Chunk(syntaxes, 1))
	}
	offers := []Offer{{Class: r.getClass(), Syntaxes: plainSyntaxes}}
	for _, c := range classes {
		for _, choice := range choices {
			if len(offers) < maxContexts {
				offers = append(offers, Offer{Class: c, Syntaxes: choice, Provider: true})
			}
		}
	}
	return offers
}

// Kind is what has to be negotiated to send an instance.
type Kind struct {
	Class  dicom.UID
	Syntax dicom.UID // as it is stored
}

// A Batch is a set of kinds that fit into one association.
type Batch struct {
	Kinds  []Kind
	Offers []Offer
}

// OfferStore plans the associations that are needed to send instances of these kinds:
// one presentation context for each class and syntax, so that one refusal does not
// take the others with it, and the common native syntaxes beside each native one.
func OfferStore(kinds []Kind) []Batch {
	var batches []Batch
	var b Batch
	for _, k := range kinds {
		if slices.ContainsFunc(batches, func(b Batch) bool { return slices.Contains(b.Kinds, k) }) || slices.Contains(b.Kinds, k) {
			continue
		}
		fresh := b.missing(k)
		if len(b.Offers)+len(fresh) > maxContexts {
			batches = append(batches, b)
			b = Batch{}
			fresh = b.missing(k)
		}
		b.Kinds = append(b.Kinds, k)
		b.Offers = append(b.Offers, fresh...)
	}
	if len(b.Kinds) > 0 {
		batches = append(batches, b)
	}
	return batches
}

// missing returns the offers that a kind needs and that are not there yet.
func (b *Batch) missing(k Kind) []Offer {
	var fresh []Offer
	for _, ts := range k.candidates() {
		if !slices.ContainsFunc(b.Offers, func(o Offer) bool { return o.Class == k.Class && o.Syntaxes[0] == ts }) {
			fresh = append(fresh, Offer{Class: k.Class, Syntaxes: []dicom.UID{ts}})
		}
	}
	return fresh
}

// candidates are the transfer syntaxes in which an instance of the kind can be sent:
// its own, then those it can be re-encoded to.
func (k Kind) candidates() []dicom.UID {
	own := []dicom.UID{k.Syntax}
	if !native(k.Syntax) {
		return own
	}
	for _, ts := range plainSyntaxes {
		if ts != k.Syntax {
			own = append(own, ts)
		}
	}
	return own
}

// proposal turns offers into what package ul negotiates.
func proposal(offers []Offer) (contexts []ul.PresentationContext, roles []ul.RoleSelection, extended []ul.ExtendedNegotiation) {
	for i, o := range offers {
		c := ul.PresentationContext{ID: byte(2*i + 1), AbstractSyntax: string(o.Class)}
		for _, ts := range o.Syntaxes {
			c.TransferSyntaxes = append(c.TransferSyntaxes, string(ts))
		}
		contexts = append(contexts, c)
		role := ul.RoleSelection{SOPClassUID: c.AbstractSyntax, SCU: false, SCP: true}
		if o.Provider && !slices.Contains(roles, role) {
			roles = append(roles, role)
		}
		if o.Relational || o.Fuzzy {
			extended = append(extended, ul.ExtendedNegotiation{SOPClassUID: c.AbstractSyntax, Info: o.applicationInfo()})
		}
	}
	return contexts, roles, extended
}

// applicationInfo is laid out in PS3.4 Table C.5-1 and C.5-3.
func (o Offer) applicationInfo() []byte {
	kind, _ := serviceOf(string(o.Class))
	info := []byte{bit(o.Relational)}
	if kind == find {
		info = append(info, 0, bit(o.Fuzzy))
	}
	return info
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
