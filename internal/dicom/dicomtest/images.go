package dicomtest

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"io"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// The storage SOP classes that are made here (PS3.4 §B.5).
const (
	CTImageStorage           dicom.UID = "1.2.840.10008.5.1.4.1.1.2"
	EnhancedCTImageStorage   dicom.UID = "1.2.840.10008.5.1.4.1.1.2.1"
	MRImageStorage           dicom.UID = "1.2.840.10008.5.1.4.1.1.4"
	CRImageStorage           dicom.UID = "1.2.840.10008.5.1.4.1.1.1"
	USMultiframeImageStorage dicom.UID = "1.2.840.10008.5.1.4.1.1.3.1"
	BasicTextSRStorage       dicom.UID = "1.2.840.10008.5.1.4.1.1.88.11"
)

// JPEGBaseline is the transfer syntax of JPEG.
const JPEGBaseline dicom.UID = "1.2.840.10008.1.2.4.50"

// CT makes a slice of a chest: 512 x 512, 12 bits, unless told otherwise.
func CT(opts ...Option) *dicom.Dataset {
	c := configure(512, 512, 1, opts)
	b := newBuilder(c, CTImageStorage, "CT")
	b.generalImage("ORIGINAL", "PRIMARY", "AXIAL")
	z := 2.5 * float64(c.instance)
	b.plane(z, 2.5, 400)
	b.text(dict.BodyPartExamined, "CHEST")
	b.floats(dict.KVP, 120)
	b.text(dict.ConvolutionKernel, "B31f")
	b.ints(dict.XRayTubeCurrent, 210)
	b.ints(dict.ExposureTime, 500)
	b.ints(dict.Exposure, 105)
	b.gray(16, 12)
	b.floats(dict.RescaleIntercept, -1024)
	b.floats(dict.RescaleSlope, 1)
	b.text(dict.RescaleType, "HU")
	b.window(40, 400, "MEDIASTINUM")
	b.pixels(dict.OW, chest(c.rows, c.cols, z, uint64(c.instance)).words(1024, 12))
	return b.finish()
}

// MR makes a slice of a head: 256 x 256, 12 bits, unless told otherwise.
func MR(opts ...Option) *dicom.Dataset {
	c := configure(256, 256, 1, opts)
	b := newBuilder(c, MRImageStorage, "MR")
	b.generalImage("ORIGINAL", "PRIMARY", "M", "SE")
	z := 5 * float64(c.instance-10)
	b.plane(z, 5, 230)
	b.text(dict.BodyPartExamined, "BRAIN")
	b.text(dict.ScanningSequence, "SE")
	b.text(dict.SequenceVariant, "SK")
	b.text(dict.ScanOptions)
	b.text(dict.MRAcquisitionType, "2D")
	b.floats(dict.RepetitionTime, 550)
	b.floats(dict.EchoTime, 14)
	b.ints(dict.EchoTrainLength, 1)
	b.floats(dict.MagneticFieldStrength, 1.5)
	b.floats(dict.FlipAngle, 90)
	b.text(dict.SequenceName, "se1_14")
	b.gray(16, 12)
	b.window(500, 1000, "BRAIN")
	b.pixels(dict.OW, brain(c.rows, c.cols, z, uint64(c.instance)).words(0, 12))
	return b.finish()
}

// CR makes a projection of a chest: 1024 x 880, 12 bits, unless told otherwise.
func CR(opts ...Option) *dicom.Dataset {
	c := configure(1024, 880, 1, opts)
	b := newBuilder(c, CRImageStorage, "CR")
	b.generalImage("ORIGINAL", "PRIMARY")
	b.text(dict.BodyPartExamined, "CHEST")
	b.text(dict.ViewPosition, "PA")
	b.floats(dict.KVP, 110)
	b.text(dict.PlateID, "7")
	b.floats(dict.ImagerPixelSpacing, 0.4, 0.4)
	b.text(dict.PatientOrientation, "L", "F")
	b.gray(16, 12)
	b.window(1600, 3200, "CHEST")
	b.pixels(dict.OW, thorax(c.rows, c.cols, uint64(c.instance)).words(0, 12))
	return b.finish()
}

// US makes an echocardiogram: 10 frames of 240 x 320, 8 bits, unless told otherwise.
func US(opts ...Option) *dicom.Dataset {
	c := configure(240, 320, 10, opts)
	b := newBuilder(c, USMultiframeImageStorage, "US")
	b.generalImage("ORIGINAL", "PRIMARY", "TRANSTHORACIC", "0001")
	b.text(dict.PatientOrientation)
	b.text(dict.BodyPartExamined, "HEART")
	b.gray(8, 8)
	b.cine(c.frames)
	b.ints(dict.UltrasoundColorDataPresent, 0)
	b.text(dict.LossyImageCompression, "00")
	var value []byte
	for i := range c.frames {
		value = append(value, fan(c.rows, c.cols, i, c.frames).bytes()...)
	}
	b.pixels(dict.OB, value)
	return b.finish()
}

// cine is the Multi-frame and Cine modules, at 25 frames a second.
func (b *builder) cine(frames int) {
	b.ints(dict.NumberOfFrames, int64(frames))
	b.ints(dict.FrameIncrementPointer, int64(dict.FrameTime))
	b.floats(dict.FrameTime, 40)
	b.ints(dict.RecommendedDisplayFrameRate, 25)
}

// JPEG makes an echocardiogram in fragments, one a frame, each
// a baseline JPEG: 4 frames of 240 x 320, unless told otherwise. The source serves the
// fragments. It is to be written in JPEGBaseline.
func JPEG(opts ...Option) (*dicom.Dataset, dicom.Source) {
	c := configure(240, 320, 4, opts)
	b := newBuilder(c, USMultiframeImageStorage, "US")
	b.generalImage("ORIGINAL", "PRIMARY", "TRANSTHORACIC", "0001")
	b.text(dict.PatientOrientation)
	b.text(dict.BodyPartExamined, "HEART")
	b.gray(8, 8)
	b.cine(c.frames)
	b.text(dict.LossyImageCompression, "01")
	b.floats(dict.LossyImageCompressionRatio, 8)
	b.text(dict.LossyImageCompressionMethod, "ISO_10918_1")
	b.ints(dict.UltrasoundColorDataPresent, 0)
	stream, fragments := jpegFrames(c)
	b.ds.Put(&dicom.Element{Tag: dict.PixelData, VR: dict.OB, Undefined: true, Fragments: fragments})
	return b.finish(), func(at dicom.Range) (io.ReadCloser, error) {
		if at.Offset < 0 || at.Length < 0 || at.End() > int64(len(stream)) {
			return nil, fmt.Errorf("range %v is outside of %d bytes", at, len(stream))
		}
		return io.NopCloser(bytes.NewReader(stream[at.Offset:at.End()])), nil
	}
}

// jpegFrames encodes the frames one behind the other. The first fragment is an empty
// Basic Offset Table.
func jpegFrames(c *config) (stream []byte, fragments []dicom.Range) {
	var b bytes.Buffer
	fragments = append(fragments, dicom.Range{})
	for i := range c.frames {
		img := &image.Gray{Pix: fan(c.rows, c.cols, i, c.frames).bytes(), Stride: c.cols, Rect: image.Rect(0, 0, c.cols, c.rows)}
		from := b.Len()
		if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85}); err != nil {
			panic(err) // a buffer does not fail, and the size was chosen by the caller
		}
		if b.Len()%2 == 1 {
			b.WriteByte(0)
		}
		fragments = append(fragments, dicom.Range{Offset: int64(from), Length: int64(b.Len() - from)})
	}
	return b.Bytes(), fragments
}
