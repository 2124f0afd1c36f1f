package dimse

import (
	"slices"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// service is a service class, or the part of one that has its own SOP classes.
type service uint8

const (
	unsupported service = iota
	verification
	storage
	find
	move
	get
	commitment
)

// model is an information model of Query/Retrieve (PS3.4 §C.6): its levels from the top.
type model []archive.Level

var (
	patientRoot      = model{archive.PatientLevel, archive.StudyLevel, archive.SeriesLevel, archive.InstanceLevel}
	studyRoot        = model{archive.StudyLevel, archive.SeriesLevel, archive.InstanceLevel}
	patientStudyOnly = model{archive.PatientLevel, archive.StudyLevel}
)

// serviceOf tells what a SOP class is about. Storage classes are left to
// Server.stores, since the configuration has a say in them.
func serviceOf(class string) (service, model) {
	switch class {
	case dict.Verification:
		return verification, nil
	case dict.PatientRootQueryRetrieveInformationModelFind:
		return find, patientRoot
	case dict.PatientRootQueryRetrieveInformationModelMove:
		return move, patientRoot
	case dict.PatientRootQueryRetrieveInformationModelGet:
		return get, patientRoot
	case dict.StudyRootQueryRetrieveInformationModelFind:
		return find, studyRoot
	case dict.StudyRootQueryRetrieveInformationModelMove:
		return move, studyRoot
	case dict.StudyRootQueryRetrieveInformationModelGet:
		return get, studyRoot
	case dict.PatientStudyOnlyQueryRetrieveInformationModelFind:
		return find, patientStudyOnly
	case dict.PatientStudyOnlyQueryRetrieveInformationModelMove:
		return move, patientStudyOnly
	case dict.PatientStudyOnlyQueryRetrieveInformationModelGet:
		return get, patientStudyOnly
	case dict.StorageCommitmentPushModel:
		return commitment, nil
	}
	return unsupported, nil
}

// nativeSyntaxes are the transfer syntaxes that are no compression, in the order in
// which they are proposed.
var nativeSyntaxes = []dicom.UID{
	dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian,
	dicom.DeflatedExplicitVRLittleEndian, dicom.ExplicitVRBigEndian,
}

func native(ts dicom.UID) bool { return slices.Contains(nativeSyntaxes, ts) }

// known reports whether data sets in the transfer syntax can be kept.
func known(ts string) bool { return dicom.SyntaxOf(dicom.UID(ts)).Known }

// firstKnown is the transfer syntax to accept of those proposed: the first one that
// the service can use. The sender lists first what it prefers (PS3.8 §9.3.2.2 leaves
// the choice to the acceptor).
func firstKnown(proposed []string, usable func(string) bool) (string, bool) {
	i := slices.IndexFunc(proposed, usable)
	if i < 0 {
		return "", false
	}
	return proposed[i], true
}

// options is what SOP Class Extended Negotiation settled for a Query/Retrieve class
// (PS3.4 §C.5.1.1, §C.5.2.1, §C.5.3.1).
type options struct {
	relational bool
	combined   bool // dates and times are matched as one
	fuzzy      bool
}

// answerExtended answers the application information of a Query/Retrieve class, byte
// by byte; ok is false when there is nothing to answer. Timezone adjustment and
// conversion of enhanced images are answered with no.
func answerExtended(x ul.ExtendedNegotiation) (o options, answer ul.ExtendedNegotiation, ok bool) {
	kind, _ := serviceOf(x.SOPClassUID)
	asked := func(i int) bool { return i < len(x.Info) && x.Info[i] == 1 }
	switch kind {
	case find:
		// relational, combined date-time, fuzzy names, timezone, enhanced conversion
		o = options{relational: asked(0), combined: asked(1), fuzzy: asked(2)}
	case move, get:
		// relational, enhanced conversion
		o = options{relational: asked(0)}
	default:
		return options{}, ul.ExtendedNegotiation{}, false
	}
	info := make([]byte, min(len(x.Info), 5))
	for i, yes := range [...]bool{o.relational, o.combined, o.fuzzy} {
		if yes && i < len(info) {
			info[i] = 1
		}
	}
	return o, ul.ExtendedNegotiation{SOPClassUID: x.SOPClassUID, Info: info}, true
}
