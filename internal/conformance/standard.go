package conformance

import (
	"fmt"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/ul"
)

// Implementation renders how the program identifies itself (PS3.7 §D.3.3.2, PS3.10 §7.1).
func Implementation() string {
	onTheNetwork := ul.DefaultImplementation
	return table([]string{"", "Implementation Class UID", "Implementation Version Name"}, [][]string{
		{"in associations", code(onTheNetwork.ClassUID), code(onTheNetwork.VersionName)},
		{"in File Meta Information", code(string(dicom.ImplementationClassUID)), code(dicom.ImplementationVersion)},
	})
}

func code(s string) string { return "`" + s + "`" }

// StorageClasses renders the SOP classes of the Storage Service Class.
func StorageClasses() string {
	var rows [][]string
	for u := range dict.StorageClasses() {
		rows = append(rows, []string{u.Name, code(u.Value), origin(u)})
	}
	return fmt.Sprintf("%d SOP classes.\n\n", len(rows)) + table([]string{"SOP class", "UID", "where"}, rows)
}

// origin tells where a storage class is defined.
func origin(u dict.UIDEntry) string {
	where := u.Storage
	switch where {
	case "DICOS", "DICONDE":
	default:
		where = "PS3.4 §" + where
	}
	if u.Retired {
		where += ", retired"
	}
	return where
}

// TransferSyntaxes renders the transfer syntaxes that are known (PS3.5 §10, §A).
func TransferSyntaxes() string {
	var rows [][]string
	for _, ts := range dicom.TransferSyntaxes() {
		rows = append(rows, []string{ts.Name, code(string(ts.UID)), encoding(ts), loss(ts), services(ts)})
	}
	return table([]string{"Transfer syntax", "UID", "encoding", "pixel data", "services"}, rows)
}

func encoding(ts dicom.TransferSyntax) string {
	text := "explicit VR"
	if ts.Implicit {
		text = "implicit VR"
	}
	if ts.BigEndian {
		text += ", big endian"
	}
	if ts.Deflated {
		text += ", deflated"
	}
	if ts.Encapsulated {
		text += ", encapsulated"
	}
	return text
}

func loss(ts dicom.TransferSyntax) string {
	switch {
	case ts.Lossy:
		return "may be lossy, or lie elsewhere"
	case ts.Encapsulated:
		return "lossless"
	}
	return "uncompressed"
}

// services tells in which services a transfer syntax is accepted: what is no compression
// serves identifiers too.
func services(ts dicom.TransferSyntax) string {
	switch ts.UID {
	case dicom.ImplicitVRLittleEndian, dicom.ExplicitVRLittleEndian,
		dicom.DeflatedExplicitVRLittleEndian, dicom.ExplicitVRBigEndian:
		return "all"
	}
	return "storage"
}

// CharacterSets renders the defined terms of Specific Character Set that are understood
// (PS3.3 §C.12.1.1.2).
func CharacterSets() string {
	var rows [][]string
	for _, set := range characterSets {
		row := []string{set.name, "", ""}
		for i, term := range set.terms {
			if term == "" {
				continue
			}
			if _, ok := dicom.ParseCharset(initial(i, term)); ok {
				row[i+1] = code(term)
			}
		}
		rows = append(rows, row)
	}
	return table([]string{"Character set", "without code extensions", "with code extensions"}, rows)
}

// initial is a value of Specific Character Set that has the term where it belongs: sets
// with code extensions stand behind the default repertoire.
func initial(i int, term string) []string {
	if i == 0 {
		return []string{term}
	}
	return []string{"ISO 2022 IR 6", term}
}

// characterSets are PS3.3 Tables C.12-2 to C.12-5: the term without code extensions and
// the one with them.
var characterSets = [...]struct {
	name  string
	terms [2]string
}{
	{"Default repertoire", [2]string{"ISO_IR 6", "ISO 2022 IR 6"}},
	{"Latin alphabet No. 1", [2]string{"ISO_IR 100", "ISO 2022 IR 100"}},
	{"Latin alphabet No. 2", [2]string{"ISO_IR 101", "ISO 2022 IR 101"}},
	{"Latin alphabet No. 3", [2]string{"ISO_IR 109", "ISO 2022 IR 109"}},
	{"Latin alphabet No. 4", [2]string{"ISO_IR 110", "ISO 2022 IR 110"}},
	{"Latin alphabet No. 5", [2]string{"ISO_IR 148", "ISO 2022 IR 148"}},
	{"Latin alphabet No. 9", [2]string{"ISO_IR 203", "ISO 2022 IR 203"}},
	{"Cyrillic", [2]string{"ISO_IR 144", "ISO 2022 IR 144"}},
	{"Arabic", [2]string{"ISO_IR 127", "ISO 2022 IR 127"}},
	{"Greek", [2]string{"ISO_IR 126", "ISO 2022 IR 126"}},
	{"Hebrew", [2]string{"ISO_IR 138", "ISO 2022 IR 138"}},
	{"Thai", [2]string{"ISO_IR 166", "ISO 2022 IR 166"}},
	{"Japanese, JIS X 0201", [2]string{"ISO_IR 13", "ISO 2022 IR 13"}},
	{"Japanese, JIS X 0208", [2]string{"", "ISO 2022 IR 87"}},
	{"Japanese, JIS X 0212", [2]string{"", "ISO 2022 IR 159"}},
	{"Korean, KS X 1001", [2]string{"", "ISO 2022 IR 149"}},
	{"Simplified Chinese, GB 2312", [2]string{"", "ISO 2022 IR 58"}},
	{"Unicode in UTF-8", [2]string{"ISO_IR 192", ""}},
	{"Chinese, GB18030", [2]string{"GB18030", ""}},
	{"Chinese, GBK", [2]string{"GBK", ""}},
}
