package pixeldata

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// samplesDir is the folder of sample files, or the test is skipped.
func samplesDir(t testing.TB) string {
	dir := os.Getenv("PHAROS_SAMPLES")
	if dir == "" {
		if os.Getenv("CI") != "" {
			t.Fatal("PHAROS_SAMPLES is not set")
		}
		t.Skip("PHAROS_SAMPLES is not set")
	}
	return dir
}

// truth is what other decoders say about a sample.
type truth struct {
	File   string   `json:"file"`
	Syntax string   `json:"ts"`
	Frames []string `json:"frames"` // SHA-256 of each, decoded
	Lossy  bool     `json:"lossy"`
	Raw    string   `json:"raw_f0"` // the first frame itself, where hashes can't be equal
	PNG    struct {
		File   string `json:"file"`
		Option string `json:"opt"`
	} `json:"png"`
}

// decodedTruths lists the samples that are decoded here.
func decodedTruths(t testing.TB) []truth {
	f, err := os.Open(filepath.Join(samplesDir(t), "reference", "truth.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []truth
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one truth
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		uid := dicom.UID(one.Syntax)
		if !dicom.SyntaxOf(uid).Encapsulated || decompressorOf(uid) != nil {
			all = append(all, one)
		}
	}
	if len(all) < 100 {
		t.Fatalf("only %d samples", len(all))
	}
	return all
}

// sample is an open file of the samples.
type sample struct {
	file   *os.File
	meta   *dicom.FileMeta
	header *dicom.Dataset
	layout Layout
}

func openSample(t testing.TB, path string) *sample {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	meta, header, err := dicom.ReadFile(f, dicom.Limits{Value: 4 << 10})
	if err != nil && header == nil {
		t.Skip(err)
	}
	placePixels(t, f, header)
	return &sample{f, meta, header, NewLayout(header, info.Size())}
}

// placePixels makes a short value of pixel data a range like the long ones.
func placePixels(t testing.TB, f io.ReadSeeker, header *dicom.Dataset) {
	t.Helper()
	if e := pixelData(header); e == nil || len(e.Value) == 0 || len(e.Fragments) > 0 {
		return
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, bare, err := dicom.ReadFile(f, dicom.Limits{Value: -1}); err == nil {
		header.Put(pixelData(bare))
	}
}

// read opens a range as the header counts it.
func (s *sample) read(t testing.TB, r dicom.Range) io.Reader {
	t.Helper()
	if !s.meta.Syntax.Deflated {
		return io.NewSectionReader(s.file, r.Offset, r.Length)
	}
	f := io.NewSectionReader(s.file, s.meta.Length, math.MaxInt64-s.meta.Length)
	inflated := dicom.Inflate(f, dicom.Limits{})
	if _, err := io.CopyN(io.Discard, inflated, r.Offset-s.meta.Length); err != nil {
		t.Fatal(err)
	}
	return io.LimitReader(inflated, r.Length)
}

// source opens frame n as an archive does.
func (s *sample) source(t testing.TB, n int) (Source, error) {
	t.Helper()
	ranges, shift, err := s.layout.Frame(n)
	if err != nil {
		return Source{}, err
	}
	var parts []io.Reader
	length := int64(0)
	for _, r := range ranges {
		parts = append(parts, s.read(t, r))
		length += r.Length
	}
	src := Source{
		Header: s.header, Syntax: s.meta.Syntax.UID,
		Frame: io.MultiReader(parts...), Length: length,
		Values: func(path string) ([]byte, error) {
			e := s.header.At(path)
			if e == nil || e.Bulk == nil {
				return nil, fmt.Errorf("%s has no range", path)
			}
			return io.ReadAll(s.read(t, *e.Bulk))
		},
	}
	if shift != 0 {
		src.Length = (s.layout.FrameBits + 7) / 8
		src.Frame = io.LimitReader(ShiftBits(src.Frame, shift), src.Length)
	}
	return src, nil
}

// twelveBits tells that JPEG of more than 8 bits was refused, as it should be.
func twelveBits(err error) bool {
	var unsupported jpeg.UnsupportedError
	return errors.As(err, &unsupported) && errors.Is(err, ErrUnsupported)
}

// container is the frame as other decoders give it: little endian, one pixel after the
// other, each sample in the bytes that are allocated to it.
func container(f *format, frame io.Reader) ([]byte, error) {
	in := newRowReader(f, frame)
	planes := 1
	if f.planar {
		planes = 3
	}
	width := (int(f.allocated) + 7) / 8
	perPixel := planes * f.perPixel()
	out := make([]byte, f.rows*f.columns*perPixel*width)
	for plane := range planes {
		for y := range f.rows {
			l, err := in.next()
			if err != nil {
				return nil, err
			}
			for i := range f.columns * f.perPixel() {
				at := (y*f.columns*f.perPixel() + i) * width
				if f.planar {
					at = ((y*f.columns+i)*3 + plane) * width
				}
				var b [8]byte
				switch f.numbers {
				case singles:
					binary.LittleEndian.PutUint32(b[:], math.Float32bits(float32(l.reals[i])))
				case doubles:
					binary.LittleEndian.PutUint64(b[:], math.Float64bits(l.reals[i]))
				default:
					binary.LittleEndian.PutUint64(b[:], uint64(int64(f.value(l.bits[i]))))
				}
				copy(out[at:at+width], b[:])
			}
		}
	}
	return out, nil
}

// twins are samples about which the others disagree or answer in planes, with another
// sample of the same pixels.
var twins = map[string]string{
	"files/rt/pydicom__rtdose_expb_1frame.dcm": "files/rt/pydicom__rtdose_1frame.dcm",
	"files/derived/planar1_rgb.dcm":            "files/derived/base_rgb.dcm",
}

// wholeCells are samples of which the others also give the bits that are not stored ones.
var wholeCells = map[string]bool{
	"files/image/pydicom-data__mlut_18.dcm":       true,
	"files/image/weasis-dicom-tools__overlay.dcm": true,
}

const (
	// withoutSize is a sample that has no rows.
	withoutSize = "files/structure/gcpparser__MultiFrameUncompressed_zeroPixelTags.dcm"
	// withoutTable is a sample whose fragments no table assigns to its frames.
	withoutTable = "files/image/dicomParser__IM00001.fragmented_no_bot_jpeg_baseline.50.dcm"
)

// overlaid are samples on which the others draw overlays.
var overlaid = map[string]bool{
	"files/image/pydicom-data__MR-SIEMENS-DICOM-WithOverlays.dcm": true,
	"files/image/pydicom__examples_overlay.dcm":                   true,
	"files/image/weasis-dicom-tools__overlay.dcm":                 true,
}

func TestSampleDecodesAsOthersDo(t *testing.T) {
	root := samplesDir(t)
	truths := decodedTruths(t)
	frames := map[string][]string{}
	for _, want := range truths {
		frames[want.File] = want.Frames
	}
	for _, want := range truths {
		if len(want.Frames) == 0 || want.File == withoutSize || want.File == withoutTable {
			continue // no other decoder, or one only, takes it for an image
		}
		if twin := twins[want.File]; twin != "" {
			want.Frames = frames[twin]
		}
		t.Run(strings.TrimPrefix(want.File, "files/"), func(t *testing.T) {
			s := openSample(t, filepath.Join(root, want.File))
			f, err := newFormat(s.header, s.meta.Syntax.UID)
			if err != nil {
				t.Fatal(err)
			}
			if wholeCells[want.File] {
				f.stored, f.shift = f.allocated, 0
			}
			for n, hash := range want.Frames {
				src, err := s.source(t, n+1)
				if err != nil {
					t.Fatal(err)
				}
				r := &renderer{src: &src, format: f, view: View{MaxPixels: DefaultMaxPixels}, frame: src.Frame}
				if f.decompress != nil {
					if err := r.expand(); twelveBits(err) {
						return
					} else if err != nil {
						t.Fatal(err)
					}
				}
				got, err := container(f, r.frame)
				if err != nil {
					t.Fatal(err)
				}
				if want.Raw != "" {
					compareRaw(t, got, filepath.Join(root, "reference", want.Raw))
					return
				}
				if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != hash {
					t.Errorf("frame %d of %d differs", n+1, len(want.Frames))
				}
			}
		})
	}
}

// compareRaw compares with a lossy frame of another decoder.
func compareRaw(t *testing.T, got []byte, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(z)
	if err != nil || len(want) != len(got) {
		t.Fatalf("%d bytes, want %d, %v", len(got), len(want), err)
	}
	total, most := 0, 0
	for i, v := range got {
		d := int(v) - int(want[i])
		d = max(d, -d)
		total, most = total+d, max(most, d)
	}
	// Others smooth chroma that is shared by several pixels.
	if mean := float64(total) / float64(len(got)); most > 64 || mean > 1.5 {
		t.Errorf("differs by %.3f on average, and by %d at most", mean, most)
	}
}

func TestSampleLooksAsOthersDrawIt(t *testing.T) {
	root := samplesDir(t)
	for _, want := range decodedTruths(t) {
		if want.PNG.File == "" || want.File == withoutTable || twins[want.File] != "" {
			continue
		}
		t.Run(strings.TrimPrefix(want.File, "files/"), func(t *testing.T) {
			s := openSample(t, filepath.Join(root, want.File))
			src, err := s.source(t, 1)
			if err != nil {
				t.Fatal(err)
			}
			src.Header.Delete(dict.PixelAspectRatio)  // the others leave pixels oblong
			src.Header.Delete(dict.PixelPaddingValue) // and count padding
			if want.PNG.Option == "+Wm" {
				withoutWindow(src.Header)
			}
			got, err := Render(context.Background(), src, View{Frame: 1})
			if twelveBits(err) {
				return
			} else if err != nil {
				t.Fatal(err)
			}
			data, err := os.ReadFile(filepath.Join(root, "reference", want.PNG.File))
			if err != nil {
				t.Fatal(err)
			}
			reference, err := png.Decode(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if got.Bounds() != reference.Bounds() {
				t.Fatalf("size %v, others have %v", got.Bounds(), reference.Bounds())
			}
			// Others cut where this rounds, and smooth chroma that pixels share.
			allowed := 2
			if overlaid[want.File] || want.Lossy {
				allowed = 255
			}
			if mean, most := difference(got, reference); most > allowed || mean > 2.6 {
				t.Fatalf("differs by %.3f on average, and by %d at most", mean, most)
			}
		})
	}
}

// withoutWindow makes the extremes of the pixels count.
func withoutWindow(d *dicom.Dataset) {
	d.Delete(dict.WindowCenter)
	d.Delete(dict.VOILUTSequence)
	d.Delete(dict.FrameVOILUTSequence)
	for _, groups := range [...]dicom.Tag{dict.SharedFunctionalGroupsSequence, dict.PerFrameFunctionalGroupsSequence} {
		for _, item := range d.Items(groups) {
			item.Delete(dict.FrameVOILUTSequence)
		}
	}
}

// difference is that of the samples of two pictures of one size.
func difference(a, b image.Image) (mean float64, most int) {
	total, n := 0, 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			p := color.NRGBAModel.Convert(a.At(x, y)).(color.NRGBA)
			q := color.NRGBAModel.Convert(b.At(x, y)).(color.NRGBA)
			for _, d := range [3]int{int(p.R) - int(q.R), int(p.G) - int(q.G), int(p.B) - int(q.B)} {
				d = max(d, -d)
				total, n, most = total+d, n+1, max(most, d)
			}
		}
	}
	return float64(total) / float64(n), most
}
