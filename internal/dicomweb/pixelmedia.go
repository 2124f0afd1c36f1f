package dicomweb

import (
	"pharos/internal/dicom"
)

// pixelType is the media type of frames in an encapsulated transfer syntax (PS3.18
// Tables 8.7.3-2 to 8.7.3-5), or application/octet-stream.
func pixelType(syntax dicom.UID) string {
	switch syntax {
	case "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70":
		return "image/jpeg"
	case "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81":
		return "image/jls"
	case "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91":
		return "image/jp2"
	case "1.2.840.10008.1.2.4.92", "1.2.840.10008.1.2.4.93":
		return "image/jpx"
	case "1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112":
		return "image/jxl"
	case "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203":
		return "image/jphc"
	case "1.2.840.10008.1.2.5":
		return "image/dicom-rle"
	case "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.100.1", "1.2.840.10008.1.2.4.101", "1.2.840.10008.1.2.4.101.1":
		return "video/mpeg"
	case "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.102.1", "1.2.840.10008.1.2.4.103", "1.2.840.10008.1.2.4.103.1",
		"1.2.840.10008.1.2.4.104", "1.2.840.10008.1.2.4.104.1", "1.2.840.10008.1.2.4.105", "1.2.840.10008.1.2.4.105.1",
		"1.2.840.10008.1.2.4.106", "1.2.840.10008.1.2.4.106.1":
		return "video/mp4"
	case "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108":
		return "video/H265"
	}
	return typeOctetStream
}

// syntaxOfType is the transfer syntax of a media type that does not tell it by its
// transfer-syntax parameter (PS3.18 Table 8.7.3-2).
func syntaxOfType(kind string) (dicom.UID, bool) {
	switch kind {
	case typeOctetStream, "":
		return dicom.ExplicitVRLittleEndian, true
	case "image/jpeg":
		return "1.2.840.10008.1.2.4.70", true
	case "image/jls":
		return "1.2.840.10008.1.2.4.80", true
	case "image/jp2":
		return "1.2.840.10008.1.2.4.90", true
	case "image/jpx":
		return "1.2.840.10008.1.2.4.92", true
	case "image/jphc":
		return "1.2.840.10008.1.2.4.201", true
	case "image/jxl":
		return "1.2.840.10008.1.2.4.110", true
	case "image/dicom-rle":
		return "1.2.840.10008.1.2.5", true
	case "video/mpeg":
		return "1.2.840.10008.1.2.4.100", true
	case "video/mp4":
		return "1.2.840.10008.1.2.4.102", true
	}
	return "", false
}

// valueChoice is how frames or other values are sent.
type valueChoice struct {
	parts       bool   // multipart/related
	contentType string // of each
	partType    string // the same without parameters
	alike       bool   // every value has the same length
}

// chooseFrames finds how the frames of an instance can be sent as they are stored.
// single tells that there is only one, which needs no parts. Native frames are sent as
// application/octet-stream in little endian whatever the syntax of their file, so
// that every native syntax suits.
func chooseFrames(ranges []mediaRange, stored dicom.TransferSyntax, single bool) (valueChoice, error) {
	kind := pixelType(stored.UID)
	native := stored.Known && !stored.Encapsulated
	for _, m := range ranges {
		if c, ok := offer(m, kind, single); ok && (native && nativeSyntax(m.syntax) || !native && takesSyntax(m, kind, stored.UID)) {
			return c.in(native, stored.UID), nil
		}
		// Encapsulated frames are octets too, for whoever says so and names the syntax.
		if c, ok := offer(m, typeOctetStream, single); ok && !native && (m.syntax == anySyntax || m.syntax == string(stored.UID)) {
			return c.in(native, stored.UID), nil
		}
	}
	if native {
		return valueChoice{}, notAcceptable(`the frames can be had as multipart/related; type="application/octet-stream"`)
	}
	return valueChoice{}, notAcceptable(`the frames can be had as multipart/related; type="` + kind + `"; transfer-syntax=` + string(stored.UID))
}

// offer is how a value of a media type can be sent to whoever accepts m.
func offer(m mediaRange, kind string, single bool) (valueChoice, bool) {
	switch {
	case m.takesParts(kind):
		return valueChoice{parts: true, contentType: kind, partType: kind}, true
	case single && m.takes(kind):
		return valueChoice{contentType: kind, partType: kind}, true
	}
	return valueChoice{}, false
}

func nativeSyntax(syntax string) bool {
	switch dicom.UID(syntax) {
	case "", anySyntax, dicom.ExplicitVRLittleEndian, dicom.ImplicitVRLittleEndian:
		return true
	}
	return false
}

// takesSyntax is lax with media types that stand for several transfer syntaxes: who
// accepts image/jpeg gets any JPEG.
func takesSyntax(m mediaRange, kind string, stored dicom.UID) bool {
	return m.open() || m.syntax == string(stored) || m.syntax == "" && (m.part == kind || m.kind == kind) && kind != typeOctetStream
}

// in adds the transfer syntax to the media type of encapsulated frames. Only native ones
// have all the same length.
func (c valueChoice) in(native bool, stored dicom.UID) valueChoice {
	c.alike = native
	if !native {
		c.contentType += "; transfer-syntax=" + string(stored)
	}
	return c
}
