package archive

import (
	"slices"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// Key is an attribute that the archive keeps for queries.
type Key struct {
	Tag   dicom.Tag
	VR    dicom.VR
	Level Level
}

// Keys are the attributes kept at each level. They can be matched and returned; of
// those that an instance has beyond them, the file itself tells.
type Keys struct {
	byTag   map[dicom.Tag]Key
	byLevel [InstanceLevel + 1][]Key
}

// NewKeys returns the keys of PS3.4 §C.6 and PS3.18 §10.6 and more that users ask for,
// and those added by configuration. A key given twice keeps its first level.
func NewKeys(added ...Key) *Keys {
	k := &Keys{byTag: make(map[dicom.Tag]Key)}
	for level, tags := range standardKeys {
		for _, t := range tags {
			k.add(Key{Tag: t, VR: dict.VROf(t), Level: Level(level)})
		}
	}
	for _, key := range added {
		k.add(key)
	}
	for _, keys := range k.byLevel {
		slices.SortFunc(keys, func(a, b Key) int { return int(int64(a.Tag) - int64(b.Tag)) })
	}
	return k
}

func (k *Keys) add(key Key) {
	if _, ok := k.byTag[key.Tag]; ok {
		return
	}
	k.byTag[key.Tag] = key
	k.byLevel[key.Level] = append(k.byLevel[key.Level], key)
}

// Lookup finds the key of a tag.
func (k *Keys) Lookup(t dicom.Tag) (Key, bool) {
	key, ok := k.byTag[t]
	return key, ok
}

// At returns the keys kept at a level, in ascending order of tags.
func (k *Keys) At(l Level) []Key { return k.byLevel[l] }

// Computed are attributes that no instance has and that the archive works out: what
// they count is what the caller may see.
var computed = map[dicom.Tag]Level{
	dict.NumberOfPatientRelatedStudies:   PatientLevel,
	dict.NumberOfPatientRelatedSeries:    PatientLevel,
	dict.NumberOfPatientRelatedInstances: PatientLevel,
	dict.ModalitiesInStudy:               StudyLevel,
	dict.SOPClassesInStudy:               StudyLevel,
	dict.NumberOfStudyRelatedSeries:      StudyLevel,
	dict.NumberOfStudyRelatedInstances:   StudyLevel,
	dict.NumberOfSeriesRelatedInstances:  SeriesLevel,
	dict.AvailableTransferSyntaxUID:      InstanceLevel,
}

// Computed tells at which level the archive works the attribute out, if it does.
// ModalitiesInStudy and SOPClassesInStudy can be matched; the counts can only be
// returned.
func Computed(t dicom.Tag) (Level, bool) {
	l, ok := computed[t]
	return l, ok
}

// standardKeys are indexed by Level. Patient attributes are kept with each study,
// since two studies of one patient may well disagree.
var standardKeys = [...][]dicom.Tag{
	PatientLevel: {
		dict.PatientName, dict.PatientID, dict.IssuerOfPatientID, dict.PatientBirthDate,
		dict.PatientBirthTime, dict.PatientSex, dict.OtherPatientIDs, dict.OtherPatientNames,
		dict.EthnicGroup, dict.PatientComments,
	},
	StudyLevel: {
		dict.StudyInstanceUID, dict.StudyDate, dict.StudyTime, dict.AccessionNumber,
		dict.StudyID, dict.StudyDescription, dict.ReferringPhysicianName,
		dict.ProcedureCodeSequence, dict.PhysiciansOfRecord, dict.NameOfPhysiciansReadingStudy,
		dict.AdmittingDiagnosesDescription, dict.TimezoneOffsetFromUTC,
		dict.PatientAge, dict.PatientSize, dict.PatientWeight, dict.Occupation,
		dict.AdditionalPatientHistory, dict.IssuerOfAccessionNumberSequence,
	},
	SeriesLevel: {
		dict.SeriesInstanceUID, dict.Modality, dict.SeriesNumber, dict.SeriesDescription,
		dict.SeriesDate, dict.SeriesTime, dict.BodyPartExamined, dict.Laterality,
		dict.ProtocolName, dict.PatientPosition, dict.FrameOfReferenceUID,
		dict.Manufacturer, dict.ManufacturerModelName, dict.DeviceSerialNumber,
		dict.InstitutionName, dict.InstitutionalDepartmentName, dict.StationName,
		dict.PerformingPhysicianName, dict.OperatorsName,
		dict.PerformedProcedureStepStartDate, dict.PerformedProcedureStepStartTime,
		dict.RequestAttributesSequence,
	},
	InstanceLevel: {
		dict.SOPClassUID, dict.SOPInstanceUID, dict.InstanceNumber, dict.NumberOfFrames,
		dict.Rows, dict.Columns, dict.BitsAllocated, dict.ImageType,
		dict.ContentDate, dict.ContentTime, dict.AcquisitionDate, dict.AcquisitionTime,
		dict.AcquisitionDateTime, dict.AcquisitionNumber,
		dict.CompletionFlag, dict.VerificationFlag, dict.ConceptNameCodeSequence,
		dict.ContentLabel, dict.ContentDescription, dict.DocumentTitle,
	},
}
