package dicom

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pharos/internal/dicom/dict"
)

// The rules by which both sides are made comparable are in
// docs/design/json-normalisation.md, by number.

func TestJSONOfEverySampleIsThatOfDCMTK(t *testing.T) {
	references, err := filepath.Glob(filepath.Join(samplesDir(t), "reference", "json", "*.json"))
	if err != nil || len(references) == 0 {
		t.Fatal("no reference output", err)
	}
	for _, reference := range references {
		name := strings.TrimSuffix(filepath.Base(reference), ".json")
		folder, file, _ := strings.Cut(name, "__")
		t.Run(name, func(t *testing.T) {
			want := readReference(t, reference)
			got := sampleJSON(t, filepath.Join(samplesDir(t), "files", folder, file))
			for _, difference := range compareModels("", got, want) {
				if reason := knownDifferences[name]; reason == "" || !strings.HasPrefix(difference, reason) {
					t.Error(difference)
				}
			}
		})
	}
}

// knownDifferences are the elements in which DCMTK is wrong and no rule says so. The
// tests of character sets have the truth about the first.
var knownDifferences = map[string]string{
	"charset__pydicom__chrSQEncoding.dcm": "00321064/0/00100010", // DCMTK leaves the character set of an item alone
}

// readReference reads what dcm2json wrote.
func readReference(t *testing.T, path string) map[string]any {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return parseModel(t, data)
}

// sampleJSON reads a file as the archive does and writes it in the JSON model.
func sampleJSON(t *testing.T, path string) map[string]any {
	return parseModel(t, AppendJSON(nil, readSample(t, path), 0, nil))
}

func parseModel(t *testing.T, data []byte) map[string]any {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	model := map[string]any{}
	if err := decoder.Decode(&model); err != nil {
		t.Fatal(err)
	}
	return model
}

func compareModels(path string, got, want map[string]any) []string {
	var differences []string
	for _, key := range keysOf(got, want) {
		g, _ := got[key].(map[string]any)
		w, _ := want[key].(map[string]any)
		switch {
		case strings.HasPrefix(key, "__"):
		case g == nil || w == nil:
			if !missingByRule(key, w, want) {
				differences = append(differences, fmt.Sprintf("%s%s: %.200v, want %.200v", path, key, g, w))
			}
		default:
			differences = append(differences, compareElements(path+key, g, w)...)
		}
	}
	return differences
}

func keysOf(a, b map[string]any) []string {
	var keys []string
	for k := range a {
		keys = append(keys, k)
	}
	for k := range b {
		if a[k] == nil {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	return keys
}

// missingByRule is for an element that only one side has.
func missingByRule(key string, want, all map[string]any) bool {
	return want == nil && all["__note"] != nil && key >= dict.PixelData.Hex()
}

func compareElements(path string, got, want map[string]any) []string {
	if got["vr"] != want["vr"] {
		return []string{fmt.Sprintf("%s: VR %v, want %v", path, got["vr"], want["vr"])}
	}
	if got["vr"] == "SQ" {
		return compareItems(path, got["Value"], want["Value"])
	}
	if g, w := normalBinary(got["InlineBinary"]), normalBinary(want["InlineBinary"]); g != w {
		return []string{fmt.Sprintf("%s: binary %s, want %s", path, g, w)}
	}
	if charset := dict.SpecificCharacterSet.Hex(); strings.HasSuffix(path, charset) && (path != charset || got["Value"] == nil) {
		return nil
	}
	g, w := normalValues(got), normalValues(want)
	if !slices.EqualFunc(g, w, sameValue) {
		return []string{fmt.Sprintf("%s %v: %.300q, want %.300q", path, got["vr"], g, w)}
	}
	return nil
}

func compareItems(path string, got, want any) []string {
	g, _ := got.([]any)
	w, _ := want.([]any)
	if len(g) != len(w) {
		return []string{fmt.Sprintf("%s: %d items, want %d", path, len(g), len(w))}
	}
	var differences []string
	for i := range g {
		a, _ := g[i].(map[string]any)
		b, _ := w[i].(map[string]any)
		differences = append(differences, compareModels(fmt.Sprintf("%s/%d/", path, i), a, b)...)
	}
	return differences
}

// normalBinary replaces base64 of more than 300 bytes by its hash.
func normalBinary(value any) string {
	switch v := value.(type) {
	case map[string]any:
		return fmt.Sprintf("%v bytes %v", v["length"], v["sha256"])
	case string:
		data, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			return err.Error()
		}
		if len(data) <= 300 {
			return v
		}
		sum := sha256.Sum256(data)
		return fmt.Sprintf("%d bytes %s", len(data), hex.EncodeToString(sum[:]))
	}
	return ""
}

// normalValues writes values in one way, numbers as numbers.
func normalValues(element map[string]any) []string {
	values, _ := element["Value"].([]any)
	var normal []string
	for _, v := range values {
		switch v := v.(type) {
		case string:
			normal = append(normal, strings.TrimRight(v, "\x00"))
		case json.Number:
			f, _ := v.Float64()
			if element["vr"] == "FL" {
				f = float64(float32(f))
			}
			normal = append(normal, fmt.Sprint(f+0)) // -0 becomes 0
		case nil:
			normal = append(normal, "null")
		case map[string]any:
			normal = append(normal, normalName(v))
		default:
			normal = append(normal, fmt.Sprintf("%v", v))
		}
	}
	if slices.Equal(normal, []string{""}) {
		return nil
	}
	return normal
}

// sameValue allows the last digit of a number to differ.
func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && math.Abs(x-y) <= 4e-16*math.Abs(x)
}

// normalName leaves out delimiters at the end of a group, and groups without others.
func normalName(groups map[string]any) string {
	var name PersonName
	for key, group := range map[string]*string{"Alphabetic": &name.Alphabetic, "Ideographic": &name.Ideographic, "Phonetic": &name.Phonetic} {
		text, _ := groups[key].(string)
		*group = strings.TrimRight(text, "^ ")
	}
	return name.String()
}

func TestCharacterSetsOfTheSamplesAreUnderstood(t *testing.T) {
	table, err := os.ReadFile(filepath.Join(samplesDir(t), "reference", "charset_expected.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n")[1:] {
		field := strings.Split(line, "\t")
		d := readSample(t, filepath.Join(samplesDir(t), filepath.FromSlash(field[0])))
		if got := d.Text(dict.PatientName); got != field[2] {
			t.Errorf("%s: name %q, want %q", field[0], got, field[2])
		}
		if got := d.Text(dict.StudyDescription); !strings.HasSuffix(got, field[3]) {
			t.Errorf("%s: description %q, want %q at the end", field[0], got, field[3])
		}
		if got := strings.Join(d.Charset().Terms(), `\`); got != field[1] {
			t.Errorf("%s: character set %q, want %q", field[0], got, field[1])
		}
	}
	names := map[string]string{ // as PS3.5 Annexes H and I have them
		"pydicom__chrH32.dcm":         "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
		"pydicom__chrJapMulti.dcm":    "やまだ^たろう",
		"pydicom__chrKoreanMulti.dcm": "김희중",
		"pydicom__chrX1.dcm":          "Wang^XiaoDong=王^小東",
	}
	for file, want := range names {
		d := readSample(t, filepath.Join(samplesDir(t), "files", "charset", file))
		if got := strings.TrimRight(d.Text(dict.PatientName), "="); got != want {
			t.Errorf("%s: name %q, want %q", file, got, want)
		}
	}
}

func readSample(t *testing.T, path string) *Dataset {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, d, err := ReadFile(f, Limits{Value: 1 << 30, Memory: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestModelsOfEverySampleAreReadBack(t *testing.T) {
	for name, path := range sampleFiles(t, "files") {
		if brokenSamples[name] != nil {
			continue
		}
		d := readSample(t, path)
		uri := func(path string, _ *Element) string { return path }
		brief := AppendJSON(nil, d, 1024, uri)
		if _, _, err := NewJSONReader(bytes.NewReader(brief), Limits{}).Next(); err != nil {
			t.Errorf("%s: JSON: %v", name, err)
		}
		native := AppendXML(nil, d, 1024, uri)
		if _, _, err := NewXMLReader(bytes.NewReader(native), Limits{}).Next(); err != nil {
			t.Errorf("%s: XML: %v", name, err)
		}
		full := AppendJSON(nil, d, math.MaxInt, nil)
		read, _, err := NewJSONReader(bytes.NewReader(full), Limits{Memory: 1 << 30}).Next()
		if err != nil {
			t.Errorf("%s: JSON: %v", name, err)
			continue
		}
		if !bytes.Equal(AppendJSON(nil, read, math.MaxInt, nil), full) {
			t.Errorf("%s: JSON read back differs", name)
		}
	}
}
