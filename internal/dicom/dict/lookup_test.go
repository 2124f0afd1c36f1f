package dict

import (
	"regexp"
	"slices"
	"testing"
)

func TestTablesAreSortedAndUnique(t *testing.T) {
	if len(tags) != len(entries) {
		t.Fatalf("%d tags, %d entries", len(tags), len(entries))
	}
	for i, e := range entries {
		if tags[i] != e.Tag {
			t.Errorf("tags[%d] = %v, entry has %v", i, tags[i], e.Tag)
		}
		if i > 0 && entries[i-1].Tag >= e.Tag {
			t.Errorf("%v stands before %v", entries[i-1].Tag, e.Tag)
		}
	}
	for i := 1; i < len(uids); i++ {
		if uids[i-1].Value >= uids[i].Value {
			t.Errorf("%s stands before %s", uids[i-1].Value, uids[i].Value)
		}
	}
}

func TestEveryEntryIsFoundByTagAndKeyword(t *testing.T) {
	keyword := regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)
	vm := regexp.MustCompile(`^[0-9]+(-([0-9]*n|[0-9]+))?$`)
	check := func(e Entry) {
		got, ok := Lookup(e.Tag)
		if !ok || got != e {
			t.Errorf("Lookup(%v) = %+v, %t, want %+v", e.Tag, got, ok, e)
		}
		if !e.VR.Known() || VROf(e.Tag) != e.VR {
			t.Errorf("%v has VR %v, VROf says %v", e.Tag, e.VR, VROf(e.Tag))
		}
		if !vm.MatchString(e.VM) {
			t.Errorf("%v has VM %q", e.Tag, e.VM)
		}
		if e.Keyword == "" {
			if !e.Retired {
				t.Errorf("%v has no keyword", e.Tag)
			}
			return
		}
		if got, ok := ByKeyword(e.Keyword); !ok || got != e {
			t.Errorf("ByKeyword(%q) = %+v, %t", e.Keyword, got, ok)
		}
		if !keyword.MatchString(e.Keyword) {
			t.Errorf("keyword %q", e.Keyword)
		}
	}
	for _, e := range entries {
		check(e)
	}
	for _, r := range repeating {
		check(r.entry)
	}
}

func TestLookupKnowsWhatTheStandardSays(t *testing.T) {
	tests := []struct {
		tag     Tag
		vr      VR
		vrs, vm string
		keyword string
		retired bool
	}{
		{PatientName, PN, "PN", "1", "PatientName", false},
		{PixelData, OW, "OB or OW", "1", "PixelData", false},
		{SmallestImagePixelValue, US, "US or SS", "1", "SmallestImagePixelValue", false},
		{LUTData, OW, "US or OW", "1-n", "LUTData", false},
		{ExtendedOffsetTable, OV, "OV", "1", "ExtendedOffsetTable", false},
		{EncapsulatedPixelDataValueTotalLength, UV, "UV", "1", "EncapsulatedPixelDataValueTotalLength", false},
		{DBdt, DS, "DS", "1", "dBdt", false},
		{OtherPatientIDs, LO, "LO", "1-n", "OtherPatientIDs", true},
		{0x60020010, US, "US", "1", "OverlayRows", false},
		{0x60FE3000, OW, "OB or OW", "1", "OverlayData", false},
		{0x501E3000, OW, "OB or OW", "1", "CurveData", true},
		{0x00203142, CS, "CS", "1-n", "SourceImageIDs", true},
		{0x00280432, LO, "LO", "1-n", "CoefficientCoding", true},
		{0x00280400, LO, "LO", "1", "TransformLabel", true},
		{0x00280410, US, "US", "1", "RowsForNthOrderCoefficients", true},
		{0x1000FFF5, US, "US", "3", "ShiftTableTriplet", true},
		{0x00100000, UL, "UL", "1", "GenericGroupLength", true},
		{0x00090000, UL, "UL", "1", "GenericGroupLength", true},
		{0x00090010, LO, "LO", "1", "PrivateCreator", false},
		{0x600100FF, LO, "LO", "1", "PrivateCreator", false},
	}
	for _, tt := range tests {
		e, ok := Lookup(tt.tag)
		if !ok || e.Tag != tt.tag || e.VR != tt.vr || e.VRs != tt.vrs || e.VM != tt.vm || e.Keyword != tt.keyword || e.Retired != tt.retired {
			t.Errorf("Lookup(%v) = %+v, %t", tt.tag, e, ok)
		}
		if VROf(tt.tag) != tt.vr {
			t.Errorf("VROf(%v) = %v, want %v", tt.tag, VROf(tt.tag), tt.vr)
		}
	}
	for _, tag := range []Tag{0x00091001, 0x00100001, 0x60013000, 0x5101_0005, 0xFFFFFFFF, 0x0008FFFF} {
		if e, ok := Lookup(tag); ok || VROf(tag) != UN {
			t.Errorf("Lookup(%v) = %+v, VROf %v", tag, e, VROf(tag))
		}
	}
	if _, ok := ByKeyword("patientName"); ok {
		t.Error("keywords are found in another case")
	}
	if _, ok := ByKeyword(""); ok {
		t.Error("the empty keyword is found")
	}
}

func TestElementsHaveTheSizeOfTheStandard(t *testing.T) {
	retired := 0
	for _, e := range entries {
		if e.Retired {
			retired++
		}
	}
	if len(entries) < 5000 || len(repeating) < 88 || retired < 400 {
		t.Errorf("%d elements (%d retired), %d repeating ones", len(entries), retired, len(repeating))
	}
}

func TestUIDsAreFound(t *testing.T) {
	for u := range UIDs() {
		if got, ok := UIDByValue(u.Value); !ok || got != u {
			t.Errorf("UIDByValue(%s) = %+v, %t", u.Value, got, ok)
		}
		if len(u.Value) > 64 || u.Keyword == "" || u.Name == "" {
			t.Errorf("%+v", u)
		}
	}
	for _, uid := range []string{
		"1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.111", "1.2.840.10008.1.2.4.112",
		"1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203",
		"1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205", "1.2.840.10008.1.2.8.1",
		"1.2.840.10008.1.2.7.1", "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.5",
	} {
		if u, ok := UIDByValue(uid); !ok || u.Type != "Transfer Syntax" {
			t.Errorf("%s: %+v, %t", uid, u, ok)
		}
	}
	if _, ok := UIDByValue("1.2.3"); ok {
		t.Error("1.2.3 is found")
	}
}

func TestStorageClassesAreThoseOfTheStandard(t *testing.T) {
	count := map[string]int{}
	for u := range StorageClasses() {
		count[u.Storage]++
		if u.Type != "SOP Class" || !IsStorageClass(u.Value) || u.Retired != (u.Storage == "B.6") {
			t.Errorf("%+v", u)
		}
	}
	want := map[string]int{"B.5": 167, "B.6": 20, "GG": 9, "DICOS": 7, "DICONDE": 4}
	for where, n := range want {
		if count[where] != n {
			t.Errorf("%d storage classes of %s, want %d", count[where], where, n)
		}
	}
	for _, uid := range []string{
		CTImageStorage, MRImageStorage, RTPlanStorage, LabelMapSegmentationStorage, HangingProtocolStorage,
		NuclearMedicineImageStorageRetired, StandaloneOverlayStorage, RTBeamsDeliveryInstructionStorage,
		HardcopyColorImageStorage, KeyObjectSelectionDocumentStorage, EncapsulatedSTLStorage,
	} {
		if !IsStorageClass(uid) {
			t.Errorf("%s is no storage class", uid)
		}
	}
	for _, uid := range []string{
		Verification, StorageCommitmentPushModel, MediaStorageDirectoryStorage, "",
		StudyRootQueryRetrieveInformationModelFind, ExplicitVRLittleEndian,
	} {
		if IsStorageClass(uid) {
			t.Errorf("%s is a storage class", uid)
		}
	}
}

func TestTagAndVR(t *testing.T) {
	if s := PatientName.String(); s != "(0010,0010)" {
		t.Error(s)
	}
	if s := PixelData.Hex(); s != "7FE00010" {
		t.Error(s)
	}
	if MakeTag(0x10, 0x20) != PatientID || PatientID.Group() != 0x10 || PatientID.Element() != 0x20 {
		t.Error("MakeTag")
	}
	if MakeVR('O', 'B') != OB || OB.String() != "OB" {
		t.Error("MakeVR")
	}
	long := []VR{OB, OD, OF, OL, OV, OW, SQ, SV, UC, UN, UR, UT, UV, MakeVR('Z', 'Z')}
	for _, e := range entries {
		if e.VR.Long() != slices.Contains(long, e.VR) {
			t.Errorf("%v.Long() = %t", e.VR, e.VR.Long())
		}
	}
}

func BenchmarkVROf(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		VROf(tags[i*7919%len(tags)])
	}
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = Lookup(tags[i*7919%len(tags)])
	}
}

func BenchmarkLookupPrivate(b *testing.B) {
	for b.Loop() {
		VROf(0x00091001)
	}
}

func BenchmarkByKeyword(b *testing.B) {
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_, _ = ByKeyword(entries[i*7919%len(entries)].Keyword)
	}
}
