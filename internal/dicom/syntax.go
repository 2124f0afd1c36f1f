package dicom

import "slices"

// TransferSyntax tells how a data set is encoded (PS3.5 §10, §A).
type TransferSyntax struct {
	UID          UID
	Name         string
	Implicit     bool // implicit VR
	BigEndian    bool
	Deflated     bool // the whole data set behind the File Meta Information
	Encapsulated bool // pixel data in fragments
	Lossy        bool // pixel data may have lost information
	Known        bool // it is one of PS3.6 Table A-1 or a private one that the field uses
}

// The transfer syntaxes that are used by name in the code.
const (
	ImplicitVRLittleEndian         UID = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian         UID = "1.2.840.10008.1.2.1"
	DeflatedExplicitVRLittleEndian UID = "1.2.840.10008.1.2.1.99"
	ExplicitVRBigEndian            UID = "1.2.840.10008.1.2.2"
)

// SyntaxOf describes a transfer syntax. An unknown one is assumed to be explicit VR
// little endian with encapsulated pixel data, as every syntax added since 1996 is;
// Known is then false.
func SyntaxOf(uid UID) TransferSyntax {
	switch uid { // the common ones, without a search
	case ImplicitVRLittleEndian:
		return syntaxes[0]
	case ExplicitVRLittleEndian:
		return syntaxes[1]
	}
	for i := range syntaxes {
		if syntaxes[i].UID == uid {
			return syntaxes[i]
		}
	}
	return TransferSyntax{UID: uid, Name: string(uid), Encapsulated: true}
}

// TransferSyntaxes lists every known transfer syntax in ascending order of UID, the
// three native ones first.
func TransferSyntaxes() []TransferSyntax { return slices.Clone(syntaxes[:]) }

// native, deflated, encapsulated and lossy make the rows of the table below.
func native(uid UID, name string) TransferSyntax {
	return TransferSyntax{UID: uid, Name: name, Known: true}
}

func implicit(uid UID, name string) TransferSyntax {
	return TransferSyntax{UID: uid, Name: name, Known: true, Implicit: true}
}

func deflated(uid UID, name string) TransferSyntax {
	return TransferSyntax{UID: uid, Name: name, Known: true, Deflated: true}
}

func encapsulated(uid UID, name string) TransferSyntax {
	return TransferSyntax{UID: uid, Name: name, Known: true, Encapsulated: true}
}

func lossy(uid UID, name string) TransferSyntax {
	return TransferSyntax{UID: uid, Name: name, Known: true, Encapsulated: true, Lossy: true}
}

// syntaxes is Table A-1 of PS3.6, retired ones included, and at the end what vendors
// use. A JPIP or SMPTE ST 2110 instance has no pixel data of its own.
var syntaxes = [...]TransferSyntax{
	implicit(ImplicitVRLittleEndian, "Implicit VR Little Endian"),
	native(ExplicitVRLittleEndian, "Explicit VR Little Endian"),
	{UID: ExplicitVRBigEndian, Name: "Explicit VR Big Endian", Known: true, BigEndian: true},
	encapsulated("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian"),
	deflated(DeflatedExplicitVRLittleEndian, "Deflated Explicit VR Little Endian"),
	lossy("1.2.840.10008.1.2.4.50", "JPEG Baseline (Process 1)"),
	lossy("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)"),
	lossy("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)"),
	lossy("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)"),
	lossy("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)"),
	lossy("1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)"),
	lossy("1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)"),
	encapsulated("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)"),
	encapsulated("1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)"),
	lossy("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)"),
	lossy("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)"),
	lossy("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)"),
	lossy("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)"),
	lossy("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)"),
	lossy("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)"),
	encapsulated("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)"),
	encapsulated("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)"),
	encapsulated("1.2.840.10008.1.2.4.70", "JPEG Lossless, Non-Hierarchical, First-Order Prediction (Process 14, Selection Value 1)"),
	encapsulated("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless"),
	lossy("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless)"),
	encapsulated("1.2.840.10008.1.2.4.90", "JPEG 2000 (Lossless Only)"),
	lossy("1.2.840.10008.1.2.4.91", "JPEG 2000"),
	encapsulated("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component (Lossless Only)"),
	lossy("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component"),
	{UID: "1.2.840.10008.1.2.4.94", Name: "JPIP Referenced", Known: true, Lossy: true},
	{UID: "1.2.840.10008.1.2.4.95", Name: "JPIP Referenced Deflate", Known: true, Deflated: true, Lossy: true},
	lossy("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level"),
	lossy("1.2.840.10008.1.2.4.100.1", "Fragmentable MPEG2 Main Profile / Main Level"),
	lossy("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level"),
	lossy("1.2.840.10008.1.2.4.101.1", "Fragmentable MPEG2 Main Profile / High Level"),
	lossy("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
	lossy("1.2.840.10008.1.2.4.102.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.1"),
	lossy("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
	lossy("1.2.840.10008.1.2.4.103.1", "Fragmentable MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
	lossy("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
	lossy("1.2.840.10008.1.2.4.104.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
	lossy("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
	lossy("1.2.840.10008.1.2.4.105.1", "Fragmentable MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
	lossy("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
	lossy("1.2.840.10008.1.2.4.106.1", "Fragmentable MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
	lossy("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1"),
	lossy("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1"),
	encapsulated("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"),
	lossy("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression"),
	lossy("1.2.840.10008.1.2.4.112", "JPEG XL"),
	encapsulated("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (Lossless Only)"),
	encapsulated("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)"),
	lossy("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000"),
	{UID: "1.2.840.10008.1.2.4.204", Name: "JPIP HTJ2K Referenced", Known: true, Lossy: true},
	{UID: "1.2.840.10008.1.2.4.205", Name: "JPIP HTJ2K Referenced Deflate", Known: true, Deflated: true, Lossy: true},
	encapsulated("1.2.840.10008.1.2.5", "RLE Lossless"),
	native("1.2.840.10008.1.2.6.1", "RFC 2557 MIME Encapsulation"),
	native("1.2.840.10008.1.2.6.2", "XML Encoding"),
	native("1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video"),
	native("1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video"),
	native("1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio"),
	encapsulated("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression"),
	implicit("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian"),
	// GE: pixel data, and nothing else, is big endian.
	implicit("1.2.840.113619.5.2", "GE Implicit VR Little Endian with Big Endian Pixel Data"),
	native("1.3.46.670589.33.1.4.1", "Philips Private Explicit VR Little Endian"),
}
