package sqldb_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
	"pharos/internal/sqldb"
	"pharos/internal/sqldb/pgtest"
)

// benchEntry is an instance as a CT scanner makes it: the nth of a study. The names
// and dates are spread as those of the measurements of other archives: 60 by 40 names,
// two studies per patient, ten years.
func benchEntry(study, n, perSeries int) index.Entry {
	series := n / perSeries
	root := fmt.Sprintf("1.2.840.113619.2.55.3.604688119.971.%d", 1600000000+study)
	ref := dicom.Ref{Study: dicom.UID(root), Series: dicom.UID(fmt.Sprintf("%s.%d", root, series)), Instance: dicom.UID(fmt.Sprintf("%s.%d.%d", root, series, n))}
	patient := study / 2
	date := time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, study*7919%3650).Format("20060102")
	d := dicom.NewDataset()
	for _, e := range []struct {
		tag   dicom.Tag
		value string
	}{
		{dict.SpecificCharacterSet, "ISO_IR 100"}, {dict.ImageType, `ORIGINAL\PRIMARY\AXIAL\CT_SOM5 SPI`},
		{dict.SOPClassUID, dict.CTImageStorage}, {dict.SOPInstanceUID, string(ref.Instance)},
		{dict.StudyDate, date}, {dict.SeriesDate, date}, {dict.AcquisitionDate, date}, {dict.ContentDate, date},
		{dict.StudyTime, "101530.250000"}, {dict.SeriesTime, "101630.125000"}, {dict.AcquisitionTime, "101645.312500"}, {dict.ContentTime, "101645.312500"},
		{dict.AccessionNumber, fmt.Sprintf("ACC%07d", study)}, {dict.Modality, "CT"}, {dict.Manufacturer, "SIEMENS"},
		{dict.InstitutionName, "University Hospital"}, {dict.ReferringPhysicianName, "House^Gregory"},
		{dict.StationName, "CT01"}, {dict.StudyDescription, "CT Thorax with contrast"}, {dict.SeriesDescription, "Thorax 1.0 B31f"},
		{dict.ManufacturerModelName, "SOMATOM Definition"}, {dict.PatientName, fmt.Sprintf("FAMILY%02d^GIVEN%02d", patient%60, patient/60%40)},
		{dict.PatientID, fmt.Sprintf("PID%07d", patient)}, {dict.PatientBirthDate, "19600101"}, {dict.PatientSex, "F"}, {dict.PatientAge, "060Y"},
		{dict.BodyPartExamined, "CHEST"}, {dict.DeviceSerialNumber, "12345"}, {dict.ProtocolName, "Thorax"}, {dict.PatientPosition, "HFS"},
		{dict.StudyInstanceUID, string(ref.Study)}, {dict.SeriesInstanceUID, string(ref.Series)}, {dict.StudyID, fmt.Sprint(study)},
		{dict.SeriesNumber, fmt.Sprint(series + 1)}, {dict.AcquisitionNumber, "2"}, {dict.InstanceNumber, fmt.Sprint(n%perSeries + 1)},
		{dict.FrameOfReferenceUID, root + ".9"},
	} {
		d.SetText(e.tag, dict.VROf(e.tag), e.value)
	}
	for _, tag := range []dicom.Tag{dict.Rows, dict.Columns} {
		d.SetInts(tag, dict.US, 512)
	}
	d.SetInts(dict.BitsAllocated, dict.US, 16)
	return index.Entry{
		Ref: ref, SOPClass: dict.CTImageStorage, TransferSyntax: dicom.ExplicitVRLittleEndian,
		Location: index.Location{Volume: "hot", Key: blob.Key(fmt.Sprintf("%08x-%016x", study/100, study%100*1_000_000_000+n*526_000))},
		Size:     526_000, Digest: sha256.Sum256([]byte(ref.Instance)), Layout: benchLayout(n), Received: time.Unix(1_700_000_000+int64(study), 0), Source: "CT01", Attributes: d,
	}
}

// benchLayout is as long as the layout of an instance with one frame.
func benchLayout(n int) []byte { return binary.BigEndian.AppendUint64(make([]byte, 32), uint64(n)) }

func openBenchSQLite(b *testing.B) (*sqldb.DB, string) {
	path := filepath.Join(b.TempDir(), "index.db")
	db, err := sqldb.OpenSQLite(path, sqldb.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return db, path
}

func commit(b *testing.B, db *sqldb.DB, e index.Entry) {
	if o, err := db.Commit(context.Background(), e, index.Refuse); err != nil || o != index.Added {
		b.Fatal(o, err)
	}
}

// BenchmarkCommit commits studies of two series of 50 instances each. wal-B/op is what
// the process wrote, the database included.
func BenchmarkCommit(b *testing.B) {
	for name, callers := range map[string]int{"sqlite-1": 1, "sqlite-4": 4} {
		b.Run(name, func(b *testing.B) {
			db, _ := openBenchSQLite(b)
			benchCommit(b, db, callers)
		})
	}
	for name, callers := range map[string]int{"postgres-1": 1, "postgres-4": 4, "postgres-32": 32} {
		b.Run(name, func(b *testing.B) {
			db, err := sqldb.OpenPostgres(b.Context(), pgtest.NewDatabase(b), sqldb.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			benchCommit(b, db, callers)
		})
	}
}

func benchCommit(b *testing.B, db *sqldb.DB, callers int) {
	entries := make([]index.Entry, b.N)
	for i := range entries {
		entries[i] = benchEntry(i/100, i%100, 50)
	}
	var next atomic.Int64
	before := written()
	b.ReportAllocs()
	b.ResetTimer()
	done := make(chan struct{})
	for range callers {
		go func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				if _, err := db.Commit(context.Background(), entries[i], index.Refuse); err != nil {
					b.Error(err)
				}
			}
			done <- struct{}{}
		}()
	}
	for range callers {
		<-done
	}
	if err := db.Sync(context.Background(), "x"); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64(written()-before)/float64(b.N), "written-B/op")
}

// written is how many bytes this process has passed to write calls.
func written() int64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	var r, w int64
	_, _ = fmt.Sscanf(string(text), "rchar: %d\nwchar: %d", &r, &w)
	return w
}

// BenchmarkSize commits 100,000 instances and reports how large the database is.
func BenchmarkSize(b *testing.B) {
	for range b.N {
		db, path := openBenchSQLite(b)
		const instances = 100_000
		for i := range instances {
			commit(b, db, benchEntry(i/500, i%500, 250))
		}
		if err := db.Close(); err != nil {
			b.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/instances, "B/instance")
	}
}

// BenchmarkQuery asks an index of many studies of one instance each.
func BenchmarkQuery(b *testing.B) {
	for _, studies := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(studies), func(b *testing.B) {
			db, _ := openBenchSQLite(b)
			for i := range studies {
				commit(b, db, benchEntry(i, 0, 1))
			}
			benchQueries(b, db, studies)
		})
	}
}

func benchQueries(b *testing.B, db *sqldb.DB, studies int) {
	uid := func(n int) string { return string(benchEntry(n, 0, 1).Ref.Study) }
	for _, q := range []struct {
		name string
		q    func(n int) archive.Query
	}{
		{"pid", func(n int) archive.Query { return ask(dict.PatientID, fmt.Sprintf("PID%07d", n/2), 0) }},
		{"name", func(n int) archive.Query { return ask(dict.PatientName, fmt.Sprintf("FAMILY%02d*", n%60), 100) }},
		{"name2", func(n int) archive.Query {
			return ask(dict.PatientName, fmt.Sprintf("FAMILY%02d^GIVEN%02d*", n%60, n/60%40), 100)
		}},
		{"contains", func(n int) archive.Query {
			return ask(dict.PatientName, fmt.Sprintf("*%02d^GIVEN%02d*", n%60, n%40), 100)
		}},
		{"day", func(n int) archive.Query { return ask(dict.StudyDate, day(n), 100) }},
		{"week", func(n int) archive.Query { return ask(dict.StudyDate, day(n)+"-"+day(n+7), 100) }},
		{"uid", func(n int) archive.Query { return ask(dict.StudyInstanceUID, uid(n), 0) }},
		{"accession", func(n int) archive.Query { return ask(dict.AccessionNumber, fmt.Sprintf("ACC%07d", n), 0) }},
		{"page", func(n int) archive.Query { return archive.Query{Level: archive.StudyLevel, Offset: n, Limit: 100} }},
		{"series", func(n int) archive.Query {
			return archive.Query{Level: archive.SeriesLevel, Ref: dicom.Ref{Study: dicom.UID(uid(n))}}
		}},
		{"patients", func(int) archive.Query { return archive.Query{Level: archive.PatientLevel, Limit: 100} }},
	} {
		b.Run(q.name, func(b *testing.B) {
			results := 0
			for i := range b.N {
				for _, err := range db.Query(b.Context(), q.q(i*7919%studies), access.All()) {
					if err != nil {
						b.Fatal(err)
					}
					results++
				}
			}
			b.ReportMetric(float64(results)/float64(b.N), "results/op")
		})
	}
}

func day(n int) string {
	return time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n%3650).Format("20060102")
}

func ask(tag dicom.Tag, text string, limit int) archive.Query {
	m, err := archive.NewMatch([]dicom.Tag{tag}, dict.VROf(tag), text)
	if err != nil {
		panic(err)
	}
	return archive.Query{Level: archive.StudyLevel, Match: []archive.Match{m}, Limit: limit}
}
