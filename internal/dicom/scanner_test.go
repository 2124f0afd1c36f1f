package dicom

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// encodingCase is a data set byte by byte and what a Scanner makes of it.
type encodingCase struct {
	name      string
	implicit  bool
	bigEndian bool
	bytes     []byte
	tokens    string // one a line: kind, tag, VR, depth, offset and length
	err       error
	rewritten bool // Writer normalises it
}

func (c encodingCase) syntax() TransferSyntax { return SyntaxOf(c.syntaxUID()) }

func (c encodingCase) syntaxUID() UID {
	switch {
	case c.implicit:
		return ImplicitVRLittleEndian
	case c.bigEndian:
		return ExplicitVRBigEndian
	}
	return "1.2.840.10008.1.2.4.50" // explicit little endian, fragments allowed
}

// annotated turns hexadecimal bytes with comments behind # into bytes.
func annotated(text string) []byte {
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		panic(err)
	}
	return b
}

var encodingCases = []encodingCase{
	{
		name: "explicit VR little endian: 16-bit and 32-bit lengths (PS3.5 §7.1.2)",
		bytes: annotated(`
			0800 1600 5549 0400 312E3200             # SOP Class UID, UI, 4 bytes
			1000 1000 504E 0200 4120                 # Patient's Name
			0800 0100 4F42 0000 02000000 0102        # OB: reserved, 32-bit length; out of order`),
		tokens: `
			element (0008,0016) UI 0 @0 4
			element (0010,0010) PN 0 @12 2
			element (0008,0001) OB 0 @22 2`,
		rewritten: true,
	},
	{
		name:     "implicit VR little endian: VR from the dictionary (PS3.5 §7.1.3)",
		implicit: true,
		bytes: annotated(`
			0800 1600 04000000 312E3200              # SOP Class UID
			0900 1000 04000000 41424344              # private creator
			0900 0110 02000000 0102                  # private element
			2800 1000 02000000 0002                  # Rows`),
		tokens: `
			element (0008,0016) UI 0 @0 4
			element (0009,0010) LO 0 @12 4
			element (0009,1001) UN 0 @24 2
			element (0028,0010) US 0 @34 2`,
	},
	{
		name:      "explicit VR big endian (PS3.5 §7.3)",
		bigEndian: true,
		bytes: annotated(`
			0008 0016 5549 0004 312E3200             # SOP Class UID
			0008 1140 5351 0000 00000010             # sequence of 16 bytes
			  FFFE E000 00000008                     # item of 8 bytes
			    0008 1155 5549 0000                  # empty UID
			0028 0010 5553 0002 0200                 # Rows = 512`),
		tokens: `
			element (0008,0016) UI 0 @0 4
			sequence (0008,1140) SQ 0 @12 16
			item (FFFE,E000) .. 1 @24 8
			element (0008,1155) UI 1 @32 0
			item-end (FFFE,E000) .. 1 @40 0
			sequence-end (0008,1140) .. 0 @40 0
			element (0028,0010) US 0 @40 2`,
	},
	{
		name: "sequence and items of undefined length, nested (PS3.5 §7.5)",
		bytes: annotated(`
			0800 4011 5351 0000 FFFFFFFF             # sequence
			  FEFF 00E0 FFFFFFFF                     # item
			    0800 5511 5549 0200 3120
			    0800 9911 5351 0000 00000000         # empty sequence inside
			  FEFF 0DE0 00000000                     # item ends
			  FEFF 00E0 00000000                     # empty item of defined length
			FEFF DDE0 00000000                       # sequence ends
			1000 2000 4C4F 0000                      # empty Patient ID`),
		tokens: `
			sequence (0008,1140) SQ 0 @0 undefined
			item (FFFE,E000) .. 1 @12 undefined
			element (0008,1155) UI 1 @20 2
			sequence (0008,1199) SQ 1 @30 0
			sequence-end (0008,1199) .. 1 @42 0
			item-end (FFFE,E000) .. 1 @50 0
			item (FFFE,E000) .. 1 @50 0
			item-end (FFFE,E000) .. 1 @58 0
			sequence-end (0008,1140) .. 0 @66 0
			element (0010,0020) LO 0 @66 0`,
	},
	{
		name: "UN of undefined length goes on in implicit VR little endian (PS3.5 §6.2.2)",
		bytes: annotated(`
			0900 0110 554E 0000 FFFFFFFF             # private, UN
			  FEFF 00E0 FFFFFFFF
			    0800 5511 02000000 3120              # no VR here
			  FEFF 0DE0 00000000
			FEFF DDE0 00000000
			1000 2000 4C4F 0000`),
		tokens: `
			sequence (0009,1001) UN 0 @0 undefined
			item (FFFE,E000) .. 1 @12 undefined
			element (0008,1155) UI 1 @20 2
			item-end (FFFE,E000) .. 1 @38 0
			sequence-end (0009,1001) .. 0 @46 0
			element (0010,0020) LO 0 @46 0`,
	},
	{
		name: "UN of undefined length that goes on in explicit VR all the same",
		bytes: annotated(`
			0900 0110 554E 0000 FFFFFFFF
			  FEFF 00E0 FFFFFFFF
			    0800 5511 5549 0200 3120
			  FEFF 0DE0 00000000
			FEFF DDE0 00000000`),
		tokens: `
			sequence (0009,1001) UN 0 @0 undefined
			item (FFFE,E000) .. 1 @12 undefined
			element (0008,1155) UI 1 @20 2
			item-end (FFFE,E000) .. 1 @38 0
			sequence-end (0009,1001) .. 0 @46 0`,
		rewritten: true,
	},
	{
		name: "UN of defined length stays a value",
		bytes: annotated(`
			0900 0110 554E 0000 08000000  FEFF 00E0 00000000`),
		tokens: `
			element (0009,1001) UN 0 @0 8`,
	},
	{
		name:     "private sequence of undefined length in implicit VR",
		implicit: true,
		bytes: annotated(`
			0900 0110 FFFFFFFF
			  FEFF 00E0 08000000
			    0900 0210 00000000
			FEFF DDE0 00000000`),
		tokens: `
			sequence (0009,1001) UN 0 @0 undefined
			item (FFFE,E000) .. 1 @8 8
			element (0009,1002) UN 1 @16 0
			item-end (FFFE,E000) .. 1 @24 0
			sequence-end (0009,1001) .. 0 @32 0`,
	},
	{
		name: "encapsulated pixel data (PS3.5 §A.4)",
		bytes: annotated(`
			E07F 1000 4F42 0000 FFFFFFFF
			  FEFF 00E0 04000000 00000000            # Basic Offset Table
			  FEFF 00E0 02000000 FFD8
			  FEFF 00E0 00000000                     # empty fragment
			FEFF DDE0 00000000
			FCFF FCFF 4F42 0000 02000000 0000        # Data Set Trailing Padding`),
		tokens: `
			fragments (7FE0,0010) OB 0 @0 undefined
			fragment (FFFE,E000) .. 0 @12 4
			fragment (FFFE,E000) .. 0 @24 2
			fragment (FFFE,E000) .. 0 @34 0
			fragments-end (7FE0,0010) .. 0 @50 0
			element (FFFC,FFFC) OB 0 @50 2`,
	},
	{
		name: "group lengths are elements, right or wrong",
		bytes: annotated(`
			0800 0000 554C 0400 0A000000             # right
			0800 1600 5549 0200 3120
			1000 0000 554C 0400 0A000000
			1000 2000 4C4F 0200 3120`),
		tokens: `
			element (0008,0000) UL 0 @0 4
			element (0008,0016) UI 0 @12 2
			element (0010,0000) UL 0 @22 4
			element (0010,0020) LO 0 @34 2`,
	},
	{
		name: "odd length",
		bytes: annotated(`
			1000 1000 504E 0300 414243
			1000 2000 4C4F 0200 3120`),
		tokens: `
			element (0010,0010) PN 0 @0 3
			element (0010,0020) LO 0 @11 2`,
	},
	{
		name: "unknown VR with a 32-bit length, as the standard says",
		bytes: annotated(`
			0900 0110 5A5A 0000 02000000 0102
			1000 2000 4C4F 0200 3120`),
		tokens: `
			element (0009,1001) ZZ 0 @0 2
			element (0010,0020) LO 0 @14 2`,
	},
	{
		name: "unknown VR with a 16-bit length, told by what follows",
		bytes: annotated(`
			0900 0110 5A5A 0200 0102
			0900 0210 2020 0200 0304                 # two spaces
			1000 2000 4C4F 0200 3120`),
		tokens: `
			element (0009,1001) ZZ 0 @0 2
			element (0009,1002)    0 @10 2
			element (0010,0020) LO 0 @20 2`,
	},
	{
		name: "UN with a 16-bit length",
		bytes: annotated(`
			0900 0110 554E 0200 0102
			1000 2000 4C4F 0200 3120`),
		tokens: `
			element (0009,1001) UN 0 @0 2
			element (0010,0020) LO 0 @10 2`,
		rewritten: true,
	},
	{
		name: "an element without VR in explicit VR",
		bytes: annotated(`
			0800 1600 04000000 312E3200
			1000 2000 4C4F 0200 3120`),
		tokens: `
			element (0008,0016) UI 0 @0 4
			element (0010,0020) LO 0 @12 2`,
		rewritten: true,
	},
	{
		name: "delimiters that end nothing, and with a length",
		bytes: annotated(`
			0800 4011 5351 0000 18000000             # defined length
			  FEFF 00E0 00000000
			  FEFF 0DE0 00000000                     # ends nothing
			  FEFF DDE0 00000000                     # ends nothing
			FEFF DDE0 00000000                       # ends nothing, outside
			0800 9911 5351 0000 FFFFFFFF
			  FEFF 00E0 FFFFFFFF
			  FEFF 0DE0 04000000                     # with a length
			FEFF DDE0 00000000
			1000 2000 4C4F 0000`),
		tokens: `
			sequence (0008,1140) SQ 0 @0 24
			item (FFFE,E000) .. 1 @12 0
			item-end (FFFE,E000) .. 1 @20 0
			sequence-end (0008,1140) .. 0 @36 0
			sequence (0008,1199) SQ 0 @44 undefined
			item (FFFE,E000) .. 1 @56 undefined
			item-end (FFFE,E000) .. 1 @72 0
			sequence-end (0008,1199) .. 0 @80 0
			element (0010,0020) LO 0 @80 0`,
		rewritten: true,
	},
	{
		name: "sequence and item of undefined length that end with what is around them",
		bytes: annotated(`
			0800 4011 5351 0000 26000000             # 38 bytes
			  FEFF 00E0 1E000000                     # 30 bytes
			    0800 9911 5351 0000 FFFFFFFF         # never delimited
			      FEFF 00E0 FFFFFFFF                 # never delimited
			        0800 5511 5549 0200 3120
			1000 2000 4C4F 0000`),
		tokens: `
			sequence (0008,1140) SQ 0 @0 38
			item (FFFE,E000) .. 1 @12 30
			sequence (0008,1199) SQ 1 @20 undefined
			item (FFFE,E000) .. 2 @32 undefined
			element (0008,1155) UI 2 @40 2
			item-end (FFFE,E000) .. 2 @50 0
			sequence-end (0008,1199) .. 1 @50 0
			item-end (FFFE,E000) .. 1 @50 0
			sequence-end (0008,1140) .. 0 @50 0
			element (0010,0020) LO 0 @50 0`,
		rewritten: true,
	},
	{
		name: "zero bytes behind the last element",
		bytes: annotated(`
			1000 2000 4C4F 0200 3120
			00000000 00000000 00000000 000000`),
		tokens: `
			element (0010,0020) LO 0 @0 2`,
		rewritten: true,
	},
	{
		name: "value beyond the end of its item",
		bytes: annotated(`
			0800 4011 5351 0000 10000000
			  FEFF 00E0 08000000
			    0800 5511 5549 0200                  # value is outside
			1000 2000 4C4F 0000`),
		tokens: `
			sequence (0008,1140) SQ 0 @0 16
			item (FFFE,E000) .. 1 @12 8`,
		err: ErrMalformed,
	},
	{
		name: "sequence beyond the end of its item",
		bytes: annotated(`
			0800 4011 5351 0000 14000000
			  FEFF 00E0 0C000000
			    0800 9911 5351 0000 FFFFFF7F`),
		tokens: `
			sequence (0008,1140) SQ 0 @0 20
			item (FFFE,E000) .. 1 @12 12`,
		err: ErrMalformed,
	},
	{
		name:  "value beyond the end of the input",
		bytes: annotated(`1000 2000 5554 0000 F0FFFFFF 4142`),
		tokens: `
			element (0010,0020) UT 0 @0 4294967280`,
		err: ErrTruncated,
	},
	{
		name:  "header cut short",
		bytes: annotated(`1000 2000 4C4F`),
		err:   ErrTruncated,
	},
	{
		name:  "no item in a sequence",
		bytes: annotated(`0800 4011 5351 0000 FFFFFFFF  1000 2000 4C4F 0000`),
		tokens: `
			sequence (0008,1140) SQ 0 @0 undefined`,
		err: ErrMalformed,
	},
	{
		name:  "fragment of undefined length",
		bytes: annotated(`E07F 1000 4F42 0000 FFFFFFFF  FEFF 00E0 FFFFFFFF`),
		tokens: `
			fragments (7FE0,0010) OB 0 @0 undefined`,
		err: ErrMalformed,
	},
	{
		name:  "bytes behind zero padding",
		bytes: annotated(`1000 2000 4C4F 0000  0000000000000000 01`),
		tokens: `
			element (0010,0020) LO 0 @0 0`,
		err: ErrMalformed,
	},
}

var kindNames = map[Kind]string{
	ElementToken: "element", SequenceStart: "sequence", ItemStart: "item", ItemEnd: "item-end",
	SequenceEnd: "sequence-end", FragmentsStart: "fragments", FragmentToken: "fragment", FragmentsEnd: "fragments-end",
}

// describe writes a token as encodingCases do.
func describe(tok Token) string {
	length, vr := fmt.Sprint(tok.Length), ".."
	if tok.Length == UndefinedLength {
		length = "undefined"
	}
	if tok.VR != 0 {
		vr = tok.VR.String()
	}
	return fmt.Sprintf("%s %v %s %d @%d %s", kindNames[tok.Kind], tok.Tag, vr, tok.Depth, tok.Offset, length)
}

func TestScannerReadsEachEncoding(t *testing.T) {
	for _, c := range encodingCases {
		t.Run(c.name, func(t *testing.T) {
			var tee bytes.Buffer
			s := NewScanner(bytes.NewReader(c.bytes), c.syntax(), 0, Limits{}, &tee)
			var got []string
			var err error
			for {
				var tok Token
				if tok, err = s.Next(); err != nil {
					break
				}
				got = append(got, describe(tok))
			}
			want := lines(c.tokens)
			if strings.Join(got, "\n") != strings.Join(want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			switch {
			case c.err == nil && !errors.Is(err, io.EOF):
				t.Errorf("error %v, want the end", err)
			case c.err == nil && !bytes.Equal(tee.Bytes(), c.bytes):
				t.Errorf("tee has %x", tee.Bytes())
			case c.err != nil && !errors.Is(err, c.err):
				t.Errorf("error %v, want %v", err, c.err)
			}
			var where *SyntaxError
			if c.err != nil && !errors.As(err, &where) {
				t.Errorf("error %v does not say where", err)
			}
		})
	}
}

func lines(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

func TestScannerLoadsWhatIsAskedFor(t *testing.T) {
	s := NewScanner(bytes.NewReader(encodingCases[0].bytes), encodingCases[0].syntax(), 100, Limits{}, nil)
	tok, err := s.Next()
	if err != nil || tok.Offset != 100 || tok.Value != 108 {
		t.Fatalf("%+v, %v", tok, err)
	}
	if _, err := s.Load(3); !errors.Is(err, ErrTooLarge) {
		t.Errorf("loading 4 bytes within 3: %v", err)
	}
	if v, err := s.Load(4); err != nil || string(v) != "1.2\x00" {
		t.Errorf("loaded %q, %v", v, err)
	}
	if s.Offset() != 112 {
		t.Errorf("offset %d, want 112", s.Offset())
	}
}

func TestScannerStopsAtLimits(t *testing.T) {
	open := annotated(`0800 4011 5351 0000 FFFFFFFF FEFF 00E0 FFFFFFFF`)
	for name, c := range map[string]struct {
		data   []byte
		limits Limits
	}{
		"depth":    {bytes.Repeat(open, 50000), Limits{}},
		"elements": {bytes.Repeat(annotated(`1000 2000 4C4F 0000`), 1001), Limits{Elements: 1000}},
		"items":    {append(open[:12:12], bytes.Repeat(annotated(`FEFF 00E0 00000000`), 1001)...), Limits{Elements: 1000}},
	} {
		s := NewScanner(bytes.NewReader(c.data), SyntaxOf(ExplicitVRLittleEndian), 0, c.limits, nil)
		var err error
		for err == nil {
			_, err = s.Next()
		}
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
		if len(s.stack) > 70 {
			t.Errorf("%s: stack of %d", name, len(s.stack))
		}
	}
}

func TestScannerReportsErrorsOfItsStreams(t *testing.T) {
	broken := errors.New("broken")
	data := encodingCases[0].bytes
	s := NewScanner(io.MultiReader(bytes.NewReader(data[:14]), failing{broken}), SyntaxOf(ExplicitVRLittleEndian), 0, Limits{}, nil)
	if err := drain(s); !errors.Is(err, broken) {
		t.Errorf("reader fails: %v", err)
	}
	s = NewScanner(bytes.NewReader(data), SyntaxOf(ExplicitVRLittleEndian), 0, Limits{}, failing{broken})
	if err := drain(s); !errors.Is(err, broken) {
		t.Errorf("tee fails: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }

func drain(s *Scanner) error {
	for {
		if _, err := s.Next(); err != nil {
			return err
		}
	}
}
