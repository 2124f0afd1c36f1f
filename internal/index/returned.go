package index

import (
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// always are the attributes that results have at each level without being asked
// (PS3.18 §10.6.3.3, and what lists of patients, studies and series show).
var always = [...][]dicom.Tag{
	archive.PatientLevel: {
		dict.PatientName, dict.PatientID, dict.IssuerOfPatientID, dict.PatientBirthDate, dict.PatientSex,
	},
	archive.StudyLevel: {
		dict.StudyInstanceUID, dict.StudyDate, dict.StudyTime, dict.AccessionNumber, dict.StudyID,
		dict.StudyDescription, dict.ReferringPhysicianName, dict.TimezoneOffsetFromUTC,
	},
	archive.SeriesLevel: {
		dict.SeriesInstanceUID, dict.Modality, dict.SeriesNumber, dict.SeriesDescription,
		dict.SeriesDate, dict.SeriesTime, dict.BodyPartExamined,
		dict.PerformedProcedureStepStartDate, dict.PerformedProcedureStepStartTime,
		dict.RequestAttributesSequence,
	},
	archive.InstanceLevel: {
		dict.SOPClassUID, dict.SOPInstanceUID, dict.InstanceNumber, dict.NumberOfFrames,
		dict.Rows, dict.Columns, dict.BitsAllocated,
	},
}

// computedAlways are the computed attributes that results have without being asked at
// their own level; at lower levels they are worked out only on request.
var computedAlways = map[dicom.Tag]archive.Level{
	dict.NumberOfPatientRelatedStudies:  archive.PatientLevel,
	dict.ModalitiesInStudy:              archive.StudyLevel,
	dict.NumberOfStudyRelatedSeries:     archive.StudyLevel,
	dict.NumberOfStudyRelatedInstances:  archive.StudyLevel,
	dict.NumberOfSeriesRelatedInstances: archive.SeriesLevel,
	dict.AvailableTransferSyntaxUID:     archive.InstanceLevel,
}

// Selection tells which attributes the results of a query have: those of its level and
// above that are always there, asked for, or matched.
type Selection struct {
	level archive.Level
	all   bool
	tags  map[dicom.Tag]bool
}

// NewSelection returns the selection of a query.
func NewSelection(q archive.Query) *Selection {
	s := &Selection{level: q.Level, all: q.All, tags: make(map[dicom.Tag]bool)}
	for level := archive.PatientLevel; level <= q.Level; level++ {
		for _, t := range always[level] {
			s.tags[t] = true
		}
	}
	for t, level := range computedAlways {
		if level == q.Level {
			s.tags[t] = true
		}
	}
	for _, path := range q.Return {
		if len(path) > 0 {
			s.tags[path[0]] = true
		}
	}
	for _, m := range q.Match {
		s.tags[m.Path[0]] = true
	}
	return s
}

// Has reports whether results have the attribute, if the entity has it.
func (s *Selection) Has(tag dicom.Tag) bool { return s.all || s.tags[tag] }

// HasComputed reports whether results have a computed attribute. Those of the levels
// above cost a query of their own, so that All does not ask for them.
func (s *Selection) HasComputed(tag dicom.Tag) bool {
	level, ok := archive.Computed(tag)
	return ok && level <= s.level && (s.tags[tag] || s.all && level == s.level)
}
