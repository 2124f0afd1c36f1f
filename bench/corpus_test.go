package main

import (
	"bytes"
	"testing"

	"pharos/internal/archive"
	"pharos/internal/dicom/dict"
)

// TestTemplateBecomesTheInstanceOfAnIdentity reads patched instances as Pharos does.
func TestTemplateBecomesTheInstanceOfAnIdentity(t *testing.T) {
	kind, err := ctTemplate(16)
	if err != nil {
		t.Fatal(err)
	}
	one := kind.instance()
	for _, id := range []identity{{study: 1}, {study: 99_999, series: 3, instance: 499}} {
		one.become(id)
		var file bytes.Buffer
		for _, b := range one.buffers() {
			file.Write(b)
		}
		if int64(file.Len()) != kind.size() {
			t.Errorf("%v: %d bytes, size says %d", id, file.Len(), kind.size())
		}
		in, err := archive.ReadIncoming(&file)
		if err != nil {
			t.Fatal(err)
		}
		var kept bytes.Buffer
		if _, err := in.WriteTo(&kept); err != nil {
			t.Fatal(err)
		}
		d := in.Header()
		for tag, want := range map[dict.Tag]string{
			dict.StudyInstanceUID: id.studyUID(), dict.SeriesInstanceUID: id.seriesUID(), dict.SOPInstanceUID: id.instanceUID(),
			dict.PatientID: id.patient(), dict.PatientName: id.name(), dict.StudyDate: id.date(),
		} {
			if got := d.Text(tag); got != want {
				t.Errorf("%v: %v is %q, want %q", id, tag, got, want)
			}
		}
		if d.Get(dict.PixelData) == nil {
			t.Errorf("%v: no pixel data", id)
		}
	}
}

// TestIdentitiesAreSpread makes sure that the questions have the answers that they are
// meant to have.
func TestIdentitiesAreSpread(t *testing.T) {
	const studies = 10_000
	uids, days, families := map[string]bool{}, map[string]int{}, map[string]int{}
	for i := range studies {
		id := identity{study: i}
		uids[id.studyUID()] = true
		days[id.date()]++
		families[id.family()]++
		if len(id.studyUID()) != len(studyMark) || len(id.name()) != len(nameMark) || len(id.date()) != len(dateMark) ||
			len(id.patient()) != len(patientMark) {
			t.Fatalf("%v does not fit the placeholders: %s %s %s %s", id, id.studyUID(), id.name(), id.date(), id.patient())
		}
	}
	if len(uids) != studies || len(days) < 3000 || len(families) != 60 {
		t.Errorf("%d UIDs, %d days, %d families", len(uids), len(days), len(families))
	}
}
