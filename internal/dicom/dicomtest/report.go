package dicomtest

import (
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// SR makes a Basic Text SR with two sections.
func SR(opts ...Option) *dicom.Dataset {
	c := configure(0, 0, 0, opts)
	b := newBuilder(c, BasicTextSRStorage, "SR")
	b.ds.SetItems(dict.ReferencedPerformedProcedureStepSequence)
	b.ds.SetItems(dict.PerformedProcedureCodeSequence)
	b.text(dict.CompletionFlag, "COMPLETE")
	b.text(dict.VerificationFlag, "UNVERIFIED")
	b.text(dict.ContentDate, c.date)
	b.text(dict.ContentTime, "120000")
	b.container(b.ds, code("18748-4", "LN", "Diagnostic Imaging Report"))
	b.ds.SetItems(dict.ContentSequence,
		b.section(code("121070", "DCM", "Findings"), code("121071", "DCM", "Finding"), "Ellipses where ellipses are expected."),
		b.section(code("121076", "DCM", "Conclusions"), code("121077", "DCM", "Conclusion"), "A phantom in good health."),
	)
	return b.finish()
}

// container makes d a container with a heading (PS3.3 §C.17.3).
func (b *builder) container(d, heading *dicom.Dataset) {
	d.SetText(dict.ValueType, dict.CS, "CONTAINER")
	d.SetItems(dict.ConceptNameCodeSequence, heading)
	d.SetText(dict.ContinuityOfContent, dict.CS, "SEPARATE")
}

// section is a container with one text.
func (b *builder) section(heading, name *dicom.Dataset, text string) *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetText(dict.RelationshipType, dict.CS, "CONTAINS")
	b.container(d, heading)
	leaf := dicom.NewDataset()
	leaf.SetText(dict.RelationshipType, dict.CS, "CONTAINS")
	leaf.SetText(dict.ValueType, dict.CS, "TEXT")
	leaf.SetItems(dict.ConceptNameCodeSequence, name)
	leaf.SetText(dict.TextValue, dict.UT, text)
	d.SetItems(dict.ContentSequence, leaf)
	return d
}
