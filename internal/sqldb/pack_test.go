package sqldb

import (
	"bytes"
	"testing"

	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

func TestPackedAttributesAreTheseBytes(t *testing.T) {
	d := dicom.NewDataset()
	d.SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 100")
	d.SetText(dict.AccessionNumber, dict.SH, "A1")
	d.SetBytes(dict.PatientName, dict.PN, []byte("M\xfcller"))
	d.SetText(0x00091001, dict.LO, "x")
	d.SetText(dict.StudyTime, dict.TM, "")
	item := dicom.NewDataset()
	item.SetText(dict.CodeValue, dict.SH, "C")
	d.SetItems(dict.ProcedureCodeSequence, item)
	keys := []archive.Key{{Tag: dict.StudyTime, VR: dict.TM}, {Tag: dict.AccessionNumber, VR: dict.SH}, {Tag: dict.ProcedureCodeSequence, VR: dict.SQ},
		{Tag: 0x00091001, VR: dict.LO}, {Tag: dict.PatientName, VR: dict.PN}, {Tag: dict.PatientID, VR: dict.LO}}
	want := []byte("" +
		"\xb0\x80\x20" + "\x00" + // (0008,0030), empty
		"\x20" + "\x08" + "A1" + // (0008,0050), 2 bytes
		"\xe2\x1f" + "\x06" + // (0008,1032), 1 item
		"\x06" + "\x80\x82\x20" + "\x08" + "C " + // of 6 bytes: (0008,0100), 2 bytes
		"\xcf\xff\x03" + "\x09" + "LO" + "x " + // (0009,1001), not in the dictionary: LO, 2 bytes
		"\x8f\xe0\x1b" + "\x20" + "M\xc3\xbcller ") // (0010,0010), 8 bytes of UTF-8
	if got := packKeys(d, keys); !bytes.Equal(got, want) {
		t.Errorf("packed\n% x, want\n% x", got, want)
	}
}

// FuzzUnpack checks that damaged attributes are an error, and that what is read is
// packed to what reads the same.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\x20\x08A1"))
	f.Add([]byte("\xe2\x9f\x20\x06\x05\x80\x82\x20\x04C"))
	f.Add([]byte("\x81\xa0\xa4\x80\x01\x09LOx "))
	f.Fuzz(func(t *testing.T, packed []byte) {
		d, err := unpack(packed, nil)
		if err != nil {
			return
		}
		once := packAll(d)
		again, err := unpack(once, nil)
		if err != nil {
			t.Fatalf("% x from % x: %v", once, packed, err)
		}
		if twice := packAll(again); !bytes.Equal(once, twice) {
			t.Errorf("% x, then % x", once, twice)
		}
	})
}
