package dicomtest

import (
	"fmt"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// builder fills a data set module by module (PS3.3 §C).
type builder struct {
	*config
	ds       *dicom.Dataset
	modality string
}

// text puts an element with the VR of the dictionary.
func (b *builder) text(tag dicom.Tag, values ...string) {
	b.ds.SetText(tag, dict.VROf(tag), values...)
}

func (b *builder) ints(tag dicom.Tag, values ...int64) {
	b.ds.SetInts(tag, dict.VROf(tag), values...)
}

func (b *builder) floats(tag dicom.Tag, values ...float64) {
	b.ds.SetFloats(tag, dict.VROf(tag), values...)
}

// newBuilder begins an instance with what every composite instance has: the SOP
// Common, Patient, General Study, General Series and General Equipment modules.
func newBuilder(c *config, class dicom.UID, modality string) *builder {
	b := &builder{config: c, ds: dicom.NewDataset(), modality: modality}
	study, series, instance := c.names(modality)
	if len(c.patient.Charset) > 0 {
		b.text(dict.SpecificCharacterSet, c.patient.Charset...)
	}
	b.text(dict.SOPClassUID, string(class))
	b.text(dict.SOPInstanceUID, string(instance))

	b.text(dict.PatientName, c.patient.Name)
	b.text(dict.PatientID, c.patient.ID)
	b.text(dict.PatientBirthDate, c.patient.Birth)
	b.text(dict.PatientSex, c.patient.Sex)

	b.text(dict.StudyInstanceUID, string(study))
	b.text(dict.StudyDate, c.date)
	b.text(dict.StudyTime, "101530")
	b.text(dict.ReferringPhysicianName, "Referrer^Rita")
	b.text(dict.StudyID, c.date[2:])
	b.text(dict.AccessionNumber, "A"+string(study[max(0, len(study)-8):]))
	b.text(dict.StudyDescription, c.study)

	b.text(dict.Modality, modality)
	b.text(dict.SeriesInstanceUID, string(series))
	b.ints(dict.SeriesNumber, int64(c.series))
	b.text(dict.SeriesDate, c.date)
	b.text(dict.SeriesTime, "101600")
	b.text(dict.SeriesDescription, fmt.Sprintf("%s series %d", modality, c.series))

	b.text(dict.Manufacturer, "Pharos")
	b.text(dict.ManufacturerModelName, "Phantom")
	b.text(dict.DeviceSerialNumber, "1")
	b.text(dict.SoftwareVersions, "1")
	b.text(dict.InstitutionName, "Synthetic Hospital")
	b.ints(dict.InstanceNumber, int64(c.instance))
	return b
}

// finish puts the extra elements.
func (b *builder) finish() *dicom.Dataset {
	for _, e := range b.extra {
		b.ds.Put(e)
	}
	return b.ds
}

// generalImage is the General Image module.
func (b *builder) generalImage(imageType ...string) {
	b.text(dict.ImageType, imageType...)
	b.text(dict.ContentDate, b.date)
	b.text(dict.ContentTime, "101700")
	b.text(dict.AcquisitionDate, b.date)
	b.text(dict.AcquisitionTime, "101700")
	b.ints(dict.AcquisitionNumber, 1)
}

// gray is the Image Pixel module for one sample per pixel, of unsigned values.
func (b *builder) gray(allocated, stored int) {
	b.ints(dict.SamplesPerPixel, 1)
	b.text(dict.PhotometricInterpretation, "MONOCHROME2")
	b.ints(dict.Rows, int64(b.rows))
	b.ints(dict.Columns, int64(b.cols))
	b.ints(dict.BitsAllocated, int64(allocated))
	b.ints(dict.BitsStored, int64(stored))
	b.ints(dict.HighBit, int64(stored-1))
	b.ints(dict.PixelRepresentation, 0)
}

// pixels puts Pixel Data: OW, or OB for 8 bits.
func (b *builder) pixels(vr dicom.VR, value []byte) {
	b.ds.SetBytes(dict.PixelData, vr, even(value))
}

// plane is the Frame of Reference and Image Plane modules, for an axial slice at z in
// millimetres, with a field of view of so many millimetres.
func (b *builder) plane(z, thickness, field float64) {
	study, _, _ := b.names(b.modality)
	spacing := field / float64(b.cols)
	b.text(dict.FrameOfReferenceUID, string(UID("frame of reference", string(study))))
	b.text(dict.PositionReferenceIndicator)
	b.text(dict.PatientPosition, "HFS")
	b.floats(dict.PixelSpacing, spacing, spacing)
	b.floats(dict.ImageOrientationPatient, 1, 0, 0, 0, 1, 0)
	b.floats(dict.ImagePositionPatient, -field/2, -field/2, z)
	b.floats(dict.SliceThickness, thickness)
	b.floats(dict.SliceLocation, z)
}

// window is the VOI LUT module with one window.
func (b *builder) window(center, width float64, name string) {
	b.floats(dict.WindowCenter, center)
	b.floats(dict.WindowWidth, width)
	b.text(dict.WindowCenterWidthExplanation, name)
}

// code makes an item of a code sequence (PS3.3 §8.8).
func code(value, scheme, meaning string) *dicom.Dataset {
	d := dicom.NewDataset()
	d.SetText(dict.CodeValue, dict.SH, value)
	d.SetText(dict.CodingSchemeDesignator, dict.SH, scheme)
	d.SetText(dict.CodeMeaning, dict.LO, meaning)
	return d
}
