package dicom

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pharos/internal/dicom/dict"
)

func charset(t testing.TB, declaration string) *Charset {
	t.Helper()
	c, ok := ParseCharset(strings.Split(declaration, `\`))
	if !ok {
		t.Fatalf("%q is not understood", declaration)
	}
	return c
}

// The examples of PS3.5 Annexes H, I, J and K, byte by byte.
func TestDecodeAndEncodeFollowTheExamplesOfTheStandard(t *testing.T) {
	tests := []struct {
		name, terms string
		value, text string
		vr          VR
	}{
		{"H.3.1 Japanese", `\ISO 2022 IR 87`,
			"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
			"Yamada^Tarou=山田^太郎=やまだ^たろう", dict.PN},
		{"H.3.2 Japanese with katakana", `ISO 2022 IR 13\ISO 2022 IR 87`,
			"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
			"ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", dict.PN},
		{"I.2 Korean", `\ISO 2022 IR 149`,
			"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
			"Hong^Gildong=洪^吉洞=홍^길동", dict.PN},
		{"J.3 Chinese in UTF-8", "ISO_IR 192",
			"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=", "Wang^XiaoDong=王^小東=", dict.PN},
		{"J.4 Chinese in GB18030", "GB18030",
			"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东=", dict.PN},
		{"K.2 Chinese with code extensions", `\ISO 2022 IR 58`,
			"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东=", dict.PN},
		{"GBK", "GBK", "\xcd\xf5^\xd0\xa1\x96\x7c", "王^小東", dict.PN},
		{"JIS X 0212", `\ISO 2022 IR 87\ISO 2022 IR 159`, "\x1b$(D0!\x1b(B", "丂", dict.LO},
		{"two registrations in one value", `ISO 2022 IR 100\ISO 2022 IR 144`,
			"Z\xfcrich \x1b-L\xbc\xde\xe1\xda\xd2\xd0\x1b-A", "Zürich Москва", dict.LO},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := charset(t, tt.terms)
			if got := c.Decode([]byte(tt.value), tt.vr); got != tt.text {
				t.Errorf("decoded to %q, want %q", got, tt.text)
			}
			got, ok := c.Encode(tt.text, tt.vr)
			if !ok || string(got) != tt.value {
				t.Errorf("encoded to %q, %t, want %q", got, ok, tt.value)
			}
		})
	}
}

func TestEverySingleByteTermDecodesItsUpperHalf(t *testing.T) {
	tests := []struct{ term, value, text string }{
		{"ISO_IR 100", "Z\xfcrich \xc6\xff", "Zürich Æÿ"},
		{"ISO_IR 101", "Wa\xb3\xeasa", "Wałęsa"},
		{"ISO_IR 109", "\xa1\xa6\xf8", "ĦĤĝ"},
		{"ISO_IR 110", "\xb1\xe0\xbb", "ąāģ"},
		{"ISO_IR 144", "\xbb\xee\xda", "Люк"},
		{"ISO_IR 127", "\xe2\xc8\xc7\xe6\xea", "قباني"},
		{"ISO_IR 126", "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος"},
		{"ISO_IR 138", "\xf9\xf8\xe5\xef", "שרון"},
		{"ISO_IR 148", "\xc7avu\xfeo\xf0lu", "Çavuşoğlu"},
		{"ISO_IR 203", "\xa4\xbc\xbd", "€Œœ"},
		{"ISO_IR 13", "\xd4\xcf\xc0\xde", "ﾔﾏﾀﾞ"},
		{"ISO_IR 166", "\xb9\xd2\xc1", "นาม"},
	}
	for _, tt := range tests {
		for _, term := range []string{tt.term, strings.Replace(tt.term, "ISO_IR", "ISO 2022 IR", 1)} {
			c := charset(t, term)
			if got := c.Decode([]byte(tt.value), dict.LO); got != tt.text {
				t.Errorf("%s: decoded to %q, want %q", term, got, tt.text)
			}
			if got, ok := c.Encode(tt.text, dict.LO); !ok || string(got) != tt.value {
				t.Errorf("%s: encoded to %q, %t, want %q", term, got, ok, tt.value)
			}
		}
		if c := charset(t, tt.term); !slices.Equal(c.Terms(), []string{tt.term}) {
			t.Errorf("%s is written %q", tt.term, c.Terms())
		}
	}
}

func TestDefaultRepertoireGuessesTheUpperHalf(t *testing.T) {
	tests := []struct{ value, text string }{
		{"plain", "plain"},
		{"M\xc3\xbcller", "Müller"},       // UTF-8 that is not declared
		{"M\xfcller", "Müller"},           // ISO 8859-1 that is not declared
		{"\x1b$B;3ED\x1b(B", "山田"},        // escape sequences that are not declared
		{"\x1bX", "\uFFFDX"},              // an escape sequence of another world
		{"\x1b", "\uFFFD"},                // an escape character at the end
		{"a\x1b$B;", "a\uFFFD"},           // half a character
		{"\x1b-Fa\xe9^\xe9\xfc", "aι^ιό"}, // the Greek of the family name serves for the given name
	}
	for _, tt := range tests {
		if got := DefaultCharset().Decode([]byte(tt.value), dict.PN); got != tt.text {
			t.Errorf("%q: decoded to %q, want %q", tt.value, got, tt.text)
		}
	}
	if got, ok := DefaultCharset().Encode("Müller", dict.PN); ok || string(got) != "M?ller" {
		t.Errorf("encoded to %q, %t", got, ok)
	}
}

func TestDeclarationsOfTheFieldAreUnderstood(t *testing.T) {
	tests := []struct{ declared, terms string }{
		{"ISO_IR 100", "ISO_IR 100"},
		{"ISO IR 100", "ISO_IR 100"},
		{"ISO-IR 100", "ISO_IR 100"},
		{"ISO_IR_100", "ISO_IR 100"},
		{"ISO-IR-100 ", "ISO_IR 100"},
		{"iso_ir 100\x00", "ISO_IR 100"},
		{"ISO 2022 100", "ISO_IR 100"},
		{"ISO 2022-IR 100", "ISO_IR 100"},
		{"ISO8859-1", "ISO_IR 100"},
		{"ISO_8859-15", "ISO_IR 203"},
		{"ISO_IR 192", "ISO_IR 192"},
		{"UTF-8", "ISO_IR 192"},
		{"utf8", "ISO_IR 192"},
		{"ISO 2022 IR 192", "ISO_IR 192"},
		{`\ISO_IR 192`, "ISO_IR 192"},
		{`ISO 2022 IR 6\ISO_IR 192`, "ISO_IR 192"},
		{`ISO_IR 100\ISO_IR 192`, "ISO_IR 100"},
		{"gb18030", "GB18030"},
		{"GB2312", "GBK"},
		{"ISO 2022 IR 87", `\ISO 2022 IR 87`},
		{"ISO_IR 87", `\ISO 2022 IR 87`},
		{"ISO 2022 IR 149", `\ISO 2022 IR 149`},
		{"ISO_IR 13\\ISO_IR 87", `ISO 2022 IR 13\ISO 2022 IR 87`},
		{"ISO 2022 IR 6\\ISO 2022 IR 87", `\ISO 2022 IR 87`},
		{"ISO_IR 6", ""},
		{"", ""},
		{"KLINGON", ""},
		{"ISO_IR 999", ""},
		{"ISO_IR 1", ""},
	}
	for _, tt := range tests {
		c, _ := ParseCharset(strings.Split(tt.declared, `\`))
		if got := strings.Join(c.Terms(), `\`); got != tt.terms {
			t.Errorf("%q is read as %q, want %q", tt.declared, got, tt.terms)
		}
		if got := strings.Join(parseCharsetValue([]byte(tt.declared)).Terms(), `\`); got != tt.terms {
			t.Errorf("value %q is read as %q, want %q", tt.declared, got, tt.terms)
		}
	}
	for declared, want := range map[string]bool{
		"":                                true,
		"ISO_IR 6":                        true,
		`\ISO 2022 IR 87`:                 true,
		`ISO 2022 IR 100\ISO 2022 IR 166`: true,
		"ISO_IR 192":                      true,
		"ISO 2022 IR 192":                 false,
		"ISO_IR 87":                       false,
		"ISO-IR 100":                      false,
		"KLINGON":                         false,
		`ISO_IR 100\`:                     false,
	} {
		if _, ok := ParseCharset(strings.Split(declared, `\`)); ok != want {
			t.Errorf("%q: ok is %t", declared, ok)
		}
	}
}

func TestBrokenEncodingsAreUnderstood(t *testing.T) {
	tests := []struct{ name, terms, value, text string }{
		{"Korean without escape sequences", `\ISO 2022 IR 149`, "Kim=\xb1\xe8^\xb9\xce\xbc\xf6", "Kim=김^민수"},
		{"Korean with one escape sequence", `\ISO 2022 IR 149`, "\x1b$)C\xb1\xe8^\xb9\xce\xbc\xf6", "김^민수"},
		{"kanji up to the delimiter", `\ISO 2022 IR 87`, "\x1b$B;3ED^ x", "山田^ x"},
		{"Shift JIS as ISO_IR 13", "ISO_IR 13", "\x8eR\x93c^\xd4", "山田^ﾔ"},
		{"invalid UTF-8", "ISO_IR 192", "M\xfcller", "M\uFFFDller"},
		{"half a GB18030 character", "GB18030", "ab\xcd", "ab\uFFFD"},
		{"a byte that Greek does not have", "ISO_IR 126", "\xd2a", "\uFFFDa"},
		{"a byte that Korean does not have", `\ISO 2022 IR 149`, "\x1b$)C\xff\xffa", "\uFFFD\uFFFDa"},
	}
	for _, tt := range tests {
		c, _ := ParseCharset(strings.Split(tt.terms, `\`))
		if got := c.Decode([]byte(tt.value), dict.PN); got != tt.text {
			t.Errorf("%s: decoded to %q, want %q", tt.name, got, tt.text)
		}
	}
}

func TestBackslashInsideACharacterSeparatesNothing(t *testing.T) {
	tests := []struct {
		declared, value string
		want            []string
	}{
		{"GB18030", "\x95\x5c^a\\\x81\x5c", []string{"昞^a", "乗"}},     // both characters end in a backslash
		{`\ISO 2022 IR 87`, "\x1b$B!\\\x1b(B\\b", []string{"＋", "b"}}, // so does the plus sign
	}
	for _, tt := range tests {
		d := NewDataset()
		d.SetText(dict.SpecificCharacterSet, dict.CS, tt.declared)
		d.SetBytes(dict.OtherPatientNames, dict.PN, []byte(tt.value))
		if got := d.Texts(dict.OtherPatientNames); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.declared, got, tt.want)
		}
	}
}

func TestEncodeTellsWhatItReplaced(t *testing.T) {
	for terms, text := range map[string]string{
		"ISO_IR 100":       "Wałęsa",
		"ISO_IR 13":        "山田",
		`\ISO 2022 IR 87`:  "김",
		`\ISO 2022 IR 149`: "😀",
		"GBK":              "😀",
		"ISO_IR 192":       "bad \xff",
		"ISO_IR 101":       "\x1b$B",
	} {
		value, ok := charset(t, terms).Encode(text, dict.LO)
		if ok || !bytes.Contains(value, []byte("?")) {
			t.Errorf("%s: %q is encoded to %q, %t", terms, text, value, ok)
		}
	}
}

// Every character that a set has is read back, alone and next to delimiters.
func TestEveryCharacterOfEverySetIsReadBack(t *testing.T) {
	for _, terms := range allCharsets {
		c := charset(t, terms)
		count := 0
		for r := rune(0x80); r < 0x20000; r++ {
			if _, ok := c.Encode(string(r), dict.PN); !ok {
				continue
			}
			count++
			if count%97 != 0 {
				continue
			}
			text := "x^" + string(r) + "=" + string(r) + "a\\" + string(r)
			value, ok := c.Encode(text, dict.PN)
			if got := c.Decode(value, dict.PN); !ok || got != text {
				t.Fatalf("%s: %q is encoded to %q and read as %q", terms, text, value, got)
			}
		}
		if want := minimumSize(terms); count < want {
			t.Errorf("%s has %d characters, want %d", terms, count, want)
		}
	}
}

// minimumSize is about how many characters above 0x7F a declaration can express.
func minimumSize(terms string) int {
	switch {
	case terms == "":
		return 0
	case strings.Contains(terms, "192"), terms == "GB18030":
		return 100000
	case terms == "GBK":
		return 20000
	case strings.Contains(terms, "87"), strings.Contains(terms, "149"), strings.Contains(terms, "58"):
		return 6700
	}
	return 50
}

var allCharsets = []string{
	"", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 126", "ISO_IR 127", "ISO_IR 138",
	"ISO_IR 144", "ISO_IR 148", "ISO_IR 166", "ISO_IR 203", "ISO_IR 13", "ISO_IR 192", "GB18030", "GBK",
	`\ISO 2022 IR 87`, `\ISO 2022 IR 87\ISO 2022 IR 159`, `ISO 2022 IR 13\ISO 2022 IR 87`,
	`\ISO 2022 IR 149`, `\ISO 2022 IR 58`,
	`ISO 2022 IR 100\ISO 2022 IR 101\ISO 2022 IR 144\ISO 2022 IR 126\ISO 2022 IR 149\ISO 2022 IR 87`,
}

func FuzzCharset(f *testing.F) {
	for i, terms := range allCharsets {
		f.Add(terms, []byte("M\xfcller^\x1b$B;3ED\x1b(B=\x1b$)C\xfb\xf3\\a\r\n"), uint8(i))
	}
	f.Add("ISO_IR 13", []byte("\x8eR\x93c"), uint8(0))
	f.Add("ISO 2022 IR 6\\ISO_IR 999\\utf8", []byte("\xff\xfe\x1b"), uint8(1))
	vrs := []VR{dict.PN, dict.LO, dict.UT, dict.SH}
	f.Fuzz(func(t *testing.T, terms string, value []byte, n uint8) {
		c, ok := ParseCharset(strings.Split(terms, `\`))
		vr := vrs[int(n)%len(vrs)]
		text := c.Decode(value, vr)
		if !utf8.ValidString(text) {
			t.Fatalf("%q: %q is decoded to invalid UTF-8 %q", terms, value, text)
		}
		again, ok2 := ParseCharset(c.Terms())
		if (ok && !ok2) || again.Decode(value, vr) != text {
			t.Fatalf("%q and its terms %q differ on %q", terms, c.Terms(), value)
		}
		encoded, ok := c.Encode(text, vr)
		if !ok {
			if encoded2, ok2 := c.Encode(c.Decode(encoded, vr), vr); !ok2 && !bytes.Contains(encoded2, []byte("?")) {
				t.Fatalf("%q: %q is encoded to %q, then to %q", terms, text, encoded, encoded2)
			}
			return
		}
		if back := c.Decode(encoded, vr); back != text {
			t.Fatalf("%q: %q is encoded to %q and read as %q", terms, text, encoded, back)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, tt := range []struct{ name, terms, value string }{
		{"ascii", "ISO_IR 100", "Meier^Gertrud^^Dr."},
		{"latin1", "ISO_IR 100", "M\xfcller^J\xf6rg"},
		{"utf8", "ISO_IR 192", "Müller^Jörg"},
		{"japanese", `\ISO 2022 IR 87`, "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"},
	} {
		c := charset(b, tt.terms)
		value := []byte(tt.value)
		b.Run(tt.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Decode(value, dict.PN)
			}
		})
	}
}
