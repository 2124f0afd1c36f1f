package dicomtest

import (
	"bytes"
	"io"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// kinds are all that can be made without fragments.
var kinds = map[string]func(...Option) *dicom.Dataset{"CT": CT, "MR": MR, "CR": CR, "US": US, "SR": SR, "EnhancedCT": EnhancedCT}

func TestInstancesAreReadBackInEverySyntax(t *testing.T) {
	for name, make := range kinds {
		for _, ts := range []dicom.UID{dicom.ImplicitVRLittleEndian, dicom.ExplicitVRLittleEndian, dicom.ExplicitVRBigEndian, dicom.DeflatedExplicitVRLittleEndian} {
			ds := make()
			meta, got, err := dicom.ReadFile(bytes.NewReader(Bytes(t, ds, ts)), dicom.Limits{Value: 16 << 20})
			if err != nil {
				t.Fatalf("%s in %s: %v", name, ts, err)
			}
			if meta.TransferSyntax != ts || meta.SOPInstance != ds.UID(dict.SOPInstanceUID) {
				t.Errorf("%s in %s: File Meta Information of %s in %s", name, ts, meta.SOPInstance, meta.TransferSyntax)
			}
			if want := DatasetBytes(t, ds, ts); !bytes.Equal(DatasetBytes(t, got, ts), want) {
				t.Errorf("%s in %s: other elements came back", name, ts)
			}
		}
	}
}

func TestSameOptionsMakeTheSameBytes(t *testing.T) {
	for name, make := range kinds {
		a, b := Bytes(t, make(), dicom.ExplicitVRLittleEndian), Bytes(t, make(), dicom.ExplicitVRLittleEndian)
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs", name)
		}
	}
	if !bytes.Equal(JPEGBytes(t), JPEGBytes(t)) {
		t.Error("JPEG differs")
	}
}

func TestUIDsFollowPatientStudyAndNumbers(t *testing.T) {
	a, b := CT(WithInstance(1)), CT(WithInstance(2))
	for _, tag := range []dicom.Tag{dict.StudyInstanceUID, dict.SeriesInstanceUID, dict.FrameOfReferenceUID} {
		if a.UID(tag) != b.UID(tag) {
			t.Errorf("%v differs within a series", tag)
		}
	}
	if a.UID(dict.SOPInstanceUID) == b.UID(dict.SOPInstanceUID) {
		t.Error("two instances have one UID")
	}
	if c := CT(WithSeries(2)); c.UID(dict.SeriesInstanceUID) == a.UID(dict.SeriesInstanceUID) {
		t.Error("two series have one UID")
	}
	if c := CT(WithPatient(Patients()[3])); c.UID(dict.StudyInstanceUID) == a.UID(dict.StudyInstanceUID) {
		t.Error("two patients have one study")
	}
	if u := a.UID(dict.SOPInstanceUID); !u.Valid() {
		t.Errorf("%q is not valid", u)
	}
	if c := CT(WithUIDs("1.2", "1.2.3", "1.2.3.4")); c.UID(dict.SOPInstanceUID) != "1.2.3.4" {
		t.Error("given UID is not taken")
	}
}

func TestNamesSurviveTheirCharacterSets(t *testing.T) {
	for _, p := range Patients() {
		ds := SR(WithPatient(p))
		_, got, err := dicom.ReadFile(bytes.NewReader(Bytes(t, ds, dicom.ExplicitVRLittleEndian)), dicom.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if name := got.Text(dict.PatientName); name != p.Name {
			t.Errorf("%s: %q became %q", p.ID, p.Name, name)
		}
	}
}

func TestJPEGFragmentsAreJPEG(t *testing.T) {
	file := JPEGBytes(t, WithFrames(3))
	_, ds, err := dicom.ReadFile(bytes.NewReader(file), dicom.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	fragments := ds.Get(dict.PixelData).Fragments
	if len(fragments) != 4 {
		t.Fatalf("%d fragments, want an offset table and 3 frames", len(fragments))
	}
	for _, f := range fragments[1:] {
		if !bytes.HasPrefix(file[f.Offset:f.End()], []byte{0xFF, 0xD8, 0xFF}) {
			t.Errorf("no JPEG at %v", f)
		}
	}
}

func BenchmarkCT(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := WriteTo(io.Discard, CT(), dicom.ExplicitVRLittleEndian, nil); err != nil {
			b.Fatal(err)
		}
	}
}
