package dicomweb

import (
	"slices"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// attribute is a line of the tables of PS3.18 §10.6.3.3.
type attribute struct {
	path []dicom.Tag
	// optional tells that it is returned only by instances that have it: the standard
	// says "if known" or "if an image", or it is one item deep.
	optional bool
}

func required(tags ...dicom.Tag) []attribute {
	list := make([]attribute, len(tags))
	for i, t := range tags {
		list[i] = attribute{path: []dicom.Tag{t}}
	}
	return list
}

func optional(path ...dicom.Tag) attribute { return attribute{path: path, optional: true} }

// studyAttributes is PS3.18 Table 10.6.3-3 without what the server itself adds:
// Retrieve URL and Instance Availability.
func studyAttributes() []attribute {
	return append(required(
		dict.StudyDate, dict.StudyTime, dict.AccessionNumber, dict.ModalitiesInStudy,
		dict.ReferringPhysicianName, dict.PatientName, dict.PatientID, dict.PatientBirthDate,
		dict.PatientSex, dict.StudyInstanceUID, dict.StudyID,
		dict.NumberOfStudyRelatedSeries, dict.NumberOfStudyRelatedInstances),
		optional(dict.TimezoneOffsetFromUTC), optional(dict.StudyDescription))
}

// seriesAttributes is PS3.18 Table 10.6.3-4.
func seriesAttributes() []attribute {
	return append(required(
		dict.Modality, dict.SeriesInstanceUID, dict.SeriesNumber, dict.NumberOfSeriesRelatedInstances),
		optional(dict.TimezoneOffsetFromUTC), optional(dict.SeriesDescription),
		optional(dict.PerformedProcedureStepStartDate), optional(dict.PerformedProcedureStepStartTime),
		optional(dict.RequestAttributesSequence, dict.ScheduledProcedureStepID),
		optional(dict.RequestAttributesSequence, dict.RequestedProcedureID))
}

// instanceAttributes is PS3.18 Table 10.6.3-5.
func instanceAttributes() []attribute {
	return append(required(dict.SOPClassUID, dict.SOPInstanceUID, dict.InstanceNumber),
		optional(dict.TimezoneOffsetFromUTC), optional(dict.Rows), optional(dict.Columns),
		optional(dict.BitsAllocated), optional(dict.NumberOfFrames))
}

// require adds what every result of the search holds: the attributes of its level, and
// those of the levels above that the path does not fix.
func (q *searchRequest) require() {
	var list []attribute
	if q.Level == archive.StudyLevel || q.Ref.Study == "" {
		list = append(list, studyAttributes()...)
	}
	if q.Level == archive.SeriesLevel || q.Level == archive.InstanceLevel && q.Ref.Series == "" {
		list = append(list, seriesAttributes()...)
	}
	if q.Level == archive.InstanceLevel {
		list = append(list, instanceAttributes()...)
	}
	// Clients join results of several searches by these, whatever the path was.
	list = append(list, required(dict.StudyInstanceUID)...)
	if q.Level == archive.InstanceLevel {
		list = append(list, required(dict.SeriesInstanceUID)...)
	}
	for _, a := range list {
		q.Return = append(q.Return, a.path)
		if !a.optional {
			q.required = append(q.required, a.path[0])
		}
	}
	slices.Sort(q.required)
	q.required = slices.Compact(q.required)
}
