package dicomtest

import (
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// EnhancedCT makes slices of a chest in one multi-frame instance with functional
// groups (PS3.3 §C.7.6.16): 8 frames of 128 x 128, 12 bits, unless told otherwise.
func EnhancedCT(opts ...Option) *dicom.Dataset {
	c := configure(128, 128, 8, opts)
	b := newBuilder(c, EnhancedCTImageStorage, "CT")
	b.generalImage("DERIVED", "PRIMARY", "VOLUME", "RESAMPLED")
	b.ds.Delete(dict.AcquisitionDate)
	b.ds.Delete(dict.AcquisitionTime)
	b.text(dict.AcquisitionDateTime, c.date+"101700")
	b.text(dict.PatientPosition, "HFS")
	b.text(dict.BodyPartExamined, "CHEST")
	study, _, instance := c.names("CT")
	b.text(dict.FrameOfReferenceUID, string(UID("frame of reference", string(study))))
	b.text(dict.PositionReferenceIndicator)
	for _, e := range []struct {
		tag   dicom.Tag
		value string
	}{
		{dict.PixelPresentation, "MONOCHROME"}, {dict.VolumetricProperties, "VOLUME"},
		{dict.VolumeBasedCalculationTechnique, "NONE"}, {dict.ContentQualification, "RESEARCH"},
		{dict.BurnedInAnnotation, "NO"}, {dict.LossyImageCompression, "00"}, {dict.PresentationLUTShape, "IDENTITY"},
	} {
		b.text(e.tag, e.value)
	}
	b.gray(16, 12)
	b.ints(dict.NumberOfFrames, int64(c.frames))
	b.dimensions(UID("dimensions", string(instance)))
	b.ds.SetItems(dict.AcquisitionContextSequence)
	b.ds.SetItems(dict.SharedFunctionalGroupsSequence, b.sharedGroups())
	var groups []*dicom.Dataset
	var value []byte
	for i := range c.frames {
		z := 2.5 * float64(i)
		groups = append(groups, b.frameGroups(i, z))
		value = append(value, chest(c.rows, c.cols, z, uint64(i)).words(1024, 12)...)
	}
	b.ds.SetItems(dict.PerFrameFunctionalGroupsSequence, groups...)
	b.pixels(dict.OW, value)
	return b.finish()
}

// dimensions is the Multi-frame Dimension module: frames are told apart by position.
func (b *builder) dimensions(organization dicom.UID) {
	org := dicom.NewDataset()
	org.SetText(dict.DimensionOrganizationUID, dict.UI, string(organization))
	b.ds.SetItems(dict.DimensionOrganizationSequence, org)
	index := dicom.NewDataset()
	index.SetText(dict.DimensionOrganizationUID, dict.UI, string(organization))
	index.SetInts(dict.DimensionIndexPointer, dict.AT, int64(dict.ImagePositionPatient))
	index.SetInts(dict.FunctionalGroupPointer, dict.AT, int64(dict.PlanePositionSequence))
	b.ds.SetItems(dict.DimensionIndexSequence, index)
}

// sharedGroups is what all frames have in common.
func (b *builder) sharedGroups() *dicom.Dataset {
	spacing := 400 / float64(b.cols)
	measures := dicom.NewDataset()
	measures.SetFloats(dict.PixelSpacing, dict.DS, spacing, spacing)
	measures.SetFloats(dict.SliceThickness, dict.DS, 2.5)
	orientation := dicom.NewDataset()
	orientation.SetFloats(dict.ImageOrientationPatient, dict.DS, 1, 0, 0, 0, 1, 0)
	rescale := dicom.NewDataset()
	rescale.SetFloats(dict.RescaleIntercept, dict.DS, -1024)
	rescale.SetFloats(dict.RescaleSlope, dict.DS, 1)
	rescale.SetText(dict.RescaleType, dict.LO, "HU")
	voi := dicom.NewDataset()
	voi.SetFloats(dict.WindowCenter, dict.DS, 40)
	voi.SetFloats(dict.WindowWidth, dict.DS, 400)
	anatomy := dicom.NewDataset()
	anatomy.SetItems(dict.AnatomicRegionSequence, code("43799004", "SCT", "Thoracic cavity"))
	anatomy.SetText(dict.FrameLaterality, dict.CS, "U")
	study, series, _ := b.names("CT")
	event := dicom.NewDataset()
	event.SetText(dict.IrradiationEventUID, dict.UI, string(UID("event", string(study), string(series))))
	d := dicom.NewDataset()
	d.SetItems(dict.IrradiationEventIdentificationSequence, event)
	d.SetItems(dict.FrameAnatomySequence, anatomy)
	d.SetItems(dict.PixelMeasuresSequence, measures)
	d.SetItems(dict.PlaneOrientationSequence, orientation)
	d.SetItems(dict.PixelValueTransformationSequence, rescale)
	d.SetItems(dict.FrameVOILUTSequence, voi)
	return d
}

// frameGroups is what tells frame i from the others.
func (b *builder) frameGroups(i int, z float64) *dicom.Dataset {
	content := dicom.NewDataset()
	content.SetText(dict.FrameAcquisitionDateTime, dict.DT, b.date+"101700")
	content.SetText(dict.FrameReferenceDateTime, dict.DT, b.date+"101700")
	content.SetFloats(dict.FrameAcquisitionDuration, dict.FD, 500)
	content.SetText(dict.StackID, dict.SH, "1")
	content.SetInts(dict.InStackPositionNumber, dict.UL, int64(i+1))
	content.SetInts(dict.DimensionIndexValues, dict.UL, int64(i+1))
	position := dicom.NewDataset()
	position.SetFloats(dict.ImagePositionPatient, dict.DS, -200, -200, z)
	kind := dicom.NewDataset()
	kind.SetText(dict.FrameType, dict.CS, "DERIVED", "PRIMARY", "VOLUME", "RESAMPLED")
	kind.SetText(dict.PixelPresentation, dict.CS, "MONOCHROME")
	kind.SetText(dict.VolumetricProperties, dict.CS, "VOLUME")
	kind.SetText(dict.VolumeBasedCalculationTechnique, dict.CS, "NONE")
	d := dicom.NewDataset()
	d.SetItems(dict.FrameContentSequence, content)
	d.SetItems(dict.PlanePositionSequence, position)
	d.SetItems(dict.CTImageFrameTypeSequence, kind)
	return d
}
