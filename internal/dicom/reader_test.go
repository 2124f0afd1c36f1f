package dicom

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"pharos/internal/dicom/dict"
)

var (
	explicitData = annotated(`
		0800 1600 5549 0400 312E3200
		0800 1800 5549 0600 312E322E3300
		1000 1000 504E 0400 412A4220
		2800 1000 5553 0200 0002`)
	implicitData = annotated(`
		0800 1600 04000000 312E3200
		0800 1800 06000000 312E322E3300
		1000 1000 04000000 412A4220
		2800 1000 02000000 0002`)
	bigEndianData = annotated(`
		0008 0016 5549 0004 312E3200
		0008 0018 5549 0006 312E322E3300
		0010 0010 504E 0004 412A4220
		0028 0010 5553 0002 0200`)
	preambleAndPrefix = append(make([]byte, 128), "DICM"...)
)

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// metaFor is group 0002 with nothing but a transfer syntax.
func metaFor(ts UID) []byte {
	uid := padded(string(ts), 0)
	return join(annotated(`0200 1000 5549`), []byte{byte(len(uid)), 0}, uid)
}

func TestReaderFindsTheDataSet(t *testing.T) {
	explicit := metaFor(ExplicitVRLittleEndian)
	length := func(n byte) []byte { return join(annotated(`0200 0000 554C 0400`), []byte{n, 0, 0, 0}) }
	implicitGroup2 := join(annotated(`0200 0000 04000000 1C000000  0200 1000 14000000`), padded(string(ExplicitVRLittleEndian), 0))
	for name, c := range map[string]struct {
		file []byte
		want FileMeta
	}{
		"as PS3.10 says":                {join(preambleAndPrefix, length(28), explicit, explicitData), FileMeta{}},
		"no group length":               {join(preambleAndPrefix, explicit, explicitData), FileMeta{}},
		"group length 0":                {join(preambleAndPrefix, length(0), explicit, explicitData), FileMeta{}},
		"group length too long":         {join(preambleAndPrefix, length(200), explicit, explicitData), FileMeta{}},
		"group length too short":        {join(preambleAndPrefix, length(8), explicit, explicitData), FileMeta{}},
		"group 0002 in implicit VR":     {join(preambleAndPrefix, implicitGroup2, explicitData), FileMeta{}},
		"no preamble":                   {join(length(28), explicit, explicitData), FileMeta{NoPreamble: true}},
		"prefix only":                   {join([]byte("DICM"), length(28), explicit, explicitData), FileMeta{NoPreamble: true}},
		"preamble without prefix":       {join(make([]byte, 128), length(28), explicit, explicitData), FileMeta{}},
		"damaged prefix":                {join(make([]byte, 132), length(28), explicit, explicitData), FileMeta{}},
		"no group 0002 behind prefix":   {join(preambleAndPrefix, explicitData), FileMeta{NoMeta: true}},
		"bare explicit data set":        {explicitData, FileMeta{NoPreamble: true, NoMeta: true}},
		"bare implicit data set":        {implicitData, FileMeta{NoPreamble: true, NoMeta: true, TransferSyntax: ImplicitVRLittleEndian}},
		"bare big endian data set":      {bigEndianData, FileMeta{NoPreamble: true, NoMeta: true, TransferSyntax: ExplicitVRBigEndian}},
		"no transfer syntax":            {join(preambleAndPrefix, annotated(`0200 0100 4F42 0000 02000000 0001`), implicitData), FileMeta{TransferSyntax: ImplicitVRLittleEndian}},
		"implicit, declared explicit":   {join(preambleAndPrefix, explicit, implicitData), FileMeta{TransferSyntax: ImplicitVRLittleEndian, Contradicted: true}},
		"explicit, declared implicit":   {join(preambleAndPrefix, metaFor(ImplicitVRLittleEndian), explicitData), FileMeta{Contradicted: true}},
		"explicit, declared big endian": {join(preambleAndPrefix, metaFor(ExplicitVRBigEndian), explicitData), FileMeta{Contradicted: true}},
		"big endian, declared explicit": {join(preambleAndPrefix, explicit, bigEndianData), FileMeta{TransferSyntax: ExplicitVRBigEndian, Contradicted: true}},
		"plain, declared deflated":      {join(preambleAndPrefix, metaFor(DeflatedExplicitVRLittleEndian), explicitData), FileMeta{Contradicted: true}},
		"implicit, declared JPEG":       {join(preambleAndPrefix, metaFor("1.2.840.10008.1.2.4.50"), implicitData), FileMeta{TransferSyntax: "1.2.840.10008.1.2.4.50", Contradicted: true}},
		"unknown syntax, explicit":      {join(preambleAndPrefix, metaFor("1.2.3.4"), explicitData), FileMeta{TransferSyntax: "1.2.3.4"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want.TransferSyntax == "" {
				c.want.TransferSyntax = ExplicitVRLittleEndian
			}
			meta, ds, err := ReadFile(bytes.NewReader(c.file), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if meta.TransferSyntax != c.want.TransferSyntax || meta.NoMeta != c.want.NoMeta || meta.NoPreamble != c.want.NoPreamble || meta.Contradicted != c.want.Contradicted {
				t.Errorf("got %+v", *meta)
			}
			if !strings.HasPrefix(string(c.file[meta.Length:]), string(explicitData[:2])) && c.want.TransferSyntax != ExplicitVRBigEndian {
				t.Errorf("Length is %d", meta.Length)
			}
			if rows, _ := ds.Int(dict.Rows); rows != 512 || ds.UID(dict.SOPInstanceUID) != "1.2.3" {
				t.Errorf("rows %d of %s", rows, ds.UID(dict.SOPInstanceUID))
			}
		})
	}
}

func TestReaderRefusesWhatIsNotDICOM(t *testing.T) {
	for name, data := range map[string][]byte{
		"nothing":           nil,
		"zeroes":            make([]byte, 4096),
		"HTML":              []byte("<!DOCTYPE html><html><head><title>PACS</title></head>" + strings.Repeat("<p>x</p>", 40)),
		"JSON":              []byte(`{"00080018":{"vr":"UI","Value":["1.2.3"]}}` + strings.Repeat(" ", 200)),
		"ELF":               join([]byte("\x7FELF\x02\x01\x01\x00"), make([]byte, 300)),
		"text":              []byte(strings.Repeat("0123456789abcdef", 64)),
		"prefix elsewhere":  join(make([]byte, 256), []byte("DICM"), metaFor(ExplicitVRLittleEndian), explicitData),
		"prefix and no end": join(preambleAndPrefix, bytes.Repeat([]byte{0xAB}, 64)),
	} {
		if _, _, err := ReadFile(bytes.NewReader(data), Limits{}); !errors.Is(err, ErrNotDICOM) {
			t.Errorf("%s: %v, want ErrNotDICOM", name, err)
		}
	}
}

func TestPrefixInsideAValueIsNotMistaken(t *testing.T) {
	value := make([]byte, 200)
	copy(value[128-12-8:], "DICM and more")
	data := join(annotated(`0800 1600 5549 0400 312E3200  1000 0040 4C54 C800`), value, annotated(`2800 1000 5553 0200 0002`))
	if string(data[128:132]) != "DICM" {
		t.Fatal("the test is wrong")
	}
	meta, ds, err := ReadFile(bytes.NewReader(data), Limits{})
	if err != nil || !meta.NoMeta || meta.Length != 0 || ds.Len() != 3 {
		t.Errorf("%+v, %v", meta, err)
	}
}

func TestUnknownSyntaxThatMakesNoSenseIsRefused(t *testing.T) {
	_, _, err := ReadFile(bytes.NewReader(join(preambleAndPrefix, metaFor("1.2.3.4"), bytes.Repeat([]byte{0x5A}, 100))), Limits{})
	if !errors.Is(err, ErrUnknownSyntax) {
		t.Error(err)
	}
}

func TestLongValuesAreRanges(t *testing.T) {
	long := bytes.Repeat([]byte("ab"), 50)
	data := join(explicitData, annotated(`0000 0100 4F42 0000 64000000`), long, annotated(`E07F 1000 4F57 0000 64000000`), long)
	for name, c := range map[string]struct {
		limits Limits
		loaded []bool // of SOP Class UID and Pixel Data
	}{
		"all short":       {Limits{}, []bool{true, true}},
		"value limit":     {Limits{Value: 99}, []bool{true, false}},
		"nothing allowed": {Limits{Value: -1}, []bool{false, false}},
		"memory limit":    {Limits{Memory: 150}, []bool{true, false}},
	} {
		ds, err := ReadDataset(bytes.NewReader(data), ExplicitVRLittleEndian, c.limits)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i, tag := range []Tag{dict.SOPClassUID, dict.PixelData} {
			e := ds.Get(tag)
			if c.loaded[i] != (e.Value != nil && e.Bulk == nil) || c.loaded[i] == (e.Bulk != nil) {
				t.Errorf("%s: %v is %d bytes, %v", name, tag, len(e.Value), e.Bulk)
			}
			if e.Bulk != nil && tag == dict.PixelData && !bytes.Equal(data[e.Bulk.Offset:e.Bulk.End()], long) {
				t.Errorf("%s: range %v", name, *e.Bulk)
			}
		}
	}
}

func TestReadUntilLeavesWhatFollowsUnconsumed(t *testing.T) {
	var tee bytes.Buffer
	r := NewDatasetReader(bytes.NewReader(explicitData), ExplicitVRLittleEndian, Limits{})
	r.Tee(&tee)
	for _, step := range []struct {
		stop     Tag
		elements int
		consumed int
	}{{0x00080018, 1, 12}, {0x00080018, 0, 12}, {0x00100011, 2, 38}, {0x00200000, 0, 38}} {
		ds, err := r.ReadUntil(step.stop)
		if err != nil || ds.Len() != step.elements || tee.Len() != step.consumed {
			t.Errorf("until %v: %d elements, %d bytes, %v", step.stop, ds.Len(), tee.Len(), err)
		}
	}
	r.Tee(nil)
	if ds, err := r.ReadRest(); err != nil || ds.Len() != 1 || tee.Len() != 38 {
		t.Errorf("rest: %d elements, %v", ds.Len(), err)
	}
	if ds, err := r.ReadRest(); err != nil || ds.Len() != 0 {
		t.Errorf("behind the rest: %d elements, %v", ds.Len(), err)
	}
}

func TestBigEndianValuesAreSwapped(t *testing.T) {
	ds, err := ReadDataset(bytes.NewReader(annotated(`
		0008 1155 4154 0004 7FE0 0010
		0018 9073 4644 0008 3FF0000000000000
		0028 0010 5553 0002 0200
		0028 0009 554C 0004 00000001
		7FE0 0010 4F57 0000 00000005 0102 0304 05`)), ExplicitVRBigEndian, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for tag, want := range map[Tag]string{
		0x00081155: "\xE0\x7F\x10\x00", 0x00189073: "\x00\x00\x00\x00\x00\x00\xF0\x3F", 0x00280010: "\x00\x02",
		0x00280009: "\x01\x00\x00\x00", 0x7FE00010: "\x02\x01\x04\x03\x05",
	} {
		if got := ds.Get(tag).Value; string(got) != want {
			t.Errorf("%v: %x, want %x", tag, got, want)
		}
	}
}

func TestFirstOfTwoElementsCountsAndOrderIsRestored(t *testing.T) {
	ds, err := ReadDataset(bytes.NewReader(annotated(`
		2800 1000 5553 0200 0002
		1000 2000 4C4F 0200 4120
		1000 2000 4C4F 0200 4220
		0800 6000 4353 0200 4354`)), ExplicitVRLittleEndian, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	var tags []Tag
	for e := range ds.All() {
		tags = append(tags, e.Tag)
	}
	if len(tags) != 3 || tags[0] != dict.Modality || tags[2] != dict.Rows || ds.Text(dict.PatientID) != "A" {
		t.Errorf("%v, patient %q", tags, ds.Text(dict.PatientID))
	}
}

func TestItemsInheritCharacterSets(t *testing.T) {
	ds, err := ReadDataset(bytes.NewReader(annotated(`
		0800 0500 4353 0A00 49534F5F495220313434           # ISO_IR 144
		0800 4011 5351 0000 24000000
		  FEFF 00E0 0A000000  1000 1000 504E 0200 BBD0
		  FEFF 00E0 0A000000  1000 1000 504E 0200 BBD0`)), ExplicitVRLittleEndian, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if name := ds.Items(0x00081140)[1].Text(dict.PatientName); name != "Ла" {
		t.Errorf("name is %q", name)
	}
}

func TestPixelRepresentationDecidesTheSignInImplicitVR(t *testing.T) {
	ds, err := ReadDataset(bytes.NewReader(annotated(`
		2800 0301 02000000 0100                              # Pixel Representation: signed
		2800 0601 02000000 FEFF                              # Smallest Image Pixel Value
		8800 0002 1C000000                                   # Icon Image Sequence
		  FEFF 00E0 14000000
		    2800 0301 02000000 0000
		    2800 0601 02000000 FEFF
		AF00 0000 00000000`)), ImplicitVRLittleEndian, Limits{Value: -1})
	if err != nil {
		t.Fatal(err)
	}
	if vr := ds.Get(dict.SmallestImagePixelValue).VR; vr != dict.SS {
		t.Errorf("VR %v, want SS", vr)
	}
	if vr := ds.Items(dict.IconImageSequence)[0].Get(dict.SmallestImagePixelValue).VR; vr != dict.US {
		t.Errorf("VR %v in the icon, want US", vr)
	}
}

func TestWhatWasReadComesWithTheError(t *testing.T) {
	data := join(explicitData, annotated(`
		0800 4011 5351 0000 FFFFFFFF
		  FEFF 00E0 FFFFFFFF
		    0800 5511 5549 0200 3120
		    0800 5011 5549 0800 31`))
	ds, err := ReadDataset(bytes.NewReader(data), ExplicitVRLittleEndian, Limits{})
	var where *SyntaxError
	if !errors.Is(err, ErrTruncated) || !errors.As(err, &where) || where.Tag != 0x00081150 {
		t.Fatal(err)
	}
	if items := ds.Items(0x00081140); len(items) != 1 || items[0].UID(0x00081155) != "1" {
		t.Errorf("items %v", items)
	}
}

func TestDeclaredLengthsCostNothing(t *testing.T) {
	for name, tail := range map[string]string{
		"3 GB of pixel data": `E07F 1000 4F57 0000 000000C0 0102`,
		"4 GB of text":       `1000 2000 5554 0000 F0FFFFFF 4142`,
		"fragment of 2 GB":   `E07F 1000 4F42 0000 FFFFFFFF FEFF 00E0 00000080 0102`,
	} {
		data := join(explicitData, annotated(tail))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadDataset(bytes.NewReader(data), "1.2.840.10008.1.2.4.50", Limits{Value: 1 << 40, Memory: 1 << 40})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrTruncated) {
			t.Errorf("%s: %v", name, err)
		}
		if cost := after.TotalAlloc - before.TotalAlloc; cost > 1<<20 {
			t.Errorf("%s cost %d bytes", name, cost)
		}
	}
}

func TestDeflatedFileIsTeedAsItWas(t *testing.T) {
	var deflated bytes.Buffer
	z, _ := flate.NewWriter(&deflated, 9)
	_, _ = z.Write(join(explicitData, annotated(`E07F 1000 4F57 0000 00001000`), make([]byte, 1<<20)))
	_ = z.Close()
	file := join(preambleAndPrefix, metaFor(DeflatedExplicitVRLittleEndian), deflated.Bytes(), []byte{0})
	if got := readInPortions(t, file, Limits{}); !bytes.Equal(got, file) {
		t.Errorf("tee has %d bytes of %d", len(got), len(file))
	}
	if _, _, err := ReadFile(bytes.NewReader(file), Limits{Inflated: 1 << 19}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	for _, cut := range []int{2, 20, deflated.Len(), deflated.Len() + 1} {
		if _, _, err := ReadFile(bytes.NewReader(file[:len(file)-cut]), Limits{}); !errors.Is(err, ErrTruncated) {
			t.Errorf("%d bytes cut off: %v", cut, err)
		}
	}
}

func TestLargeObjectStreamsInConstantMemory(t *testing.T) {
	const size = 512 << 20
	head := join(explicitData, annotated(`E07F 1000 4F57 0000 00000020`))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	count := &countingWriter{w: io.Discard}
	r := NewDatasetReader(io.MultiReader(bytes.NewReader(head), io.LimitReader(zeroes{}, size)), ExplicitVRLittleEndian, Limits{})
	r.Tee(count)
	ds, err := r.ReadRest()
	runtime.ReadMemStats(&after)
	if err != nil || count.n != int64(len(head)+size) || ds.Get(dict.PixelData).Bulk.Length != size {
		t.Errorf("tee has %d bytes, %v", count.n, err)
	}
	if cost := after.TotalAlloc - before.TotalAlloc; cost > 1<<20 {
		t.Errorf("cost %d bytes", cost)
	}
}

// zeroes never ends.
type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// skipping is a source that counts what is really read of it.
type skipping struct {
	*bytes.Reader
	read int64
}

func (s *skipping) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.read += int64(n)
	return n, err
}

func (s *skipping) Skip(n int64) error {
	if n > int64(s.Len()) {
		return ErrTruncated
	}
	_, err := s.Seek(n, io.SeekCurrent)
	return err
}

func TestLongValuesAreSkippedWithoutReading(t *testing.T) {
	d := NewDataset()
	d.SetText(dict.PatientID, dict.LO, "P")
	d.SetBytes(dict.PixelData, dict.OW, make([]byte, 1<<20))
	d.SetText(dict.DataSetTrailingPadding, dict.OB)
	var b bytes.Buffer
	if err := WriteFile(&b, NewFileMeta(dict.CTImageStorage, "1.2", ExplicitVRLittleEndian), d, nil); err != nil {
		t.Fatal(err)
	}
	source := &skipping{Reader: bytes.NewReader(b.Bytes())}
	_, got, err := ReadFile(source, Limits{Value: 100})
	if err != nil || got.Get(dict.PixelData).Bulk.Length != 1<<20 || source.read > 2*bufferSize {
		t.Fatalf("%d bytes read, %v", source.read, err)
	}
	cut := &skipping{Reader: bytes.NewReader(b.Bytes()[:500_000])}
	if _, _, err := ReadFile(cut, Limits{Value: 100}); !errors.Is(err, ErrTruncated) {
		t.Fatalf("cut value: %v", err)
	}
}

func TestUnwantedSequencesAreWalkedOnly(t *testing.T) {
	item := NewDataset()
	item.SetText(dict.CodeValue, dict.SH, "X")
	d := NewDataset()
	d.SetItems(dict.ProcedureCodeSequence, item)
	d.SetItems(dict.PerFrameFunctionalGroupsSequence, item, item)
	d.SetText(dict.PatientID, dict.LO, "P")
	var b bytes.Buffer
	if err := WriteFile(&b, NewFileMeta(dict.CTImageStorage, "1.2", ExplicitVRLittleEndian), d, nil); err != nil {
		t.Fatal(err)
	}
	r := NewReader(&b, Limits{})
	r.Gather(func(tag Tag) bool { return tag == dict.ProcedureCodeSequence })
	got, err := r.ReadRest()
	if err != nil || len(got.Items(dict.ProcedureCodeSequence)) != 1 || got.Has(dict.PerFrameFunctionalGroupsSequence) || got.Text(dict.PatientID) != "P" {
		t.Fatalf("%d elements, %v", got.Len(), err)
	}
}
