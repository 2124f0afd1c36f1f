package indextest

import (
	"fmt"
	"slices"
	"testing"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
	"pharos/internal/index"
)

// rule is a line of the table: an entity with the stored values, and keys that find it
// or don't.
type rule struct {
	what   string
	stored func(*dicom.Dataset)
	level  archive.Level
	path   []dicom.Tag
	finds  []string
	misses []string
	fuzzy  bool
}

func path(tags ...dicom.Tag) []dicom.Tag { return tags }

// long is longer than any database's index key should be.
const long = "a description that goes on for longer than what an index can keep of it, up to the word end"

var rules = []rule{
	// Person names (§C.2.2.2.1.1, §6.2.1 of PS3.5)
	{
		what: "names without regard to case and delimiters", level: archive.StudyLevel, path: path(dict.PatientName),
		stored: text(dict.PatientName, "Doe^John^^Dr."),
		finds:  []string{"Doe^John^^Dr.", "DOE^JOHN^^DR.", "doe john dr.", "Doe^John^^Dr.^", "doe*", "DOE^J*", "*john*", "d?e^john*", "Doe^John*", "", "*", "**"},
		misses: []string{"Doe", "Doe^John", "John*", "Do", "doe%", "d_e*", "?oe", "Doering*"},
	},
	{
		what: "a delimiter beside an asterisk may be missing", level: archive.StudyLevel, path: path(dict.PatientName),
		stored: text(dict.PatientName, "Doe"),
		finds:  []string{"doe^*", "*^doe", "Doe^^^^", " Doe "}, misses: []string{"doe^?*", "doe^j*"},
	},
	{
		what: "names without regard to accents", level: archive.StudyLevel, path: path(dict.PatientName),
		stored: text(dict.PatientName, "Müller-Lüdenscheidt^Jürgen Ångström"),
		finds:  []string{"Muller*", "MÜLLER*", "*ludenscheidt^jurgen*", "m?ller*", "*angstrom"}, misses: []string{"Mueller*"},
	},
	{
		what: "letters that do not decompose", level: archive.StudyLevel, path: path(dict.PatientName),
		stored: text(dict.PatientName, "Łukasz^Weiß Øre"),
		finds:  []string{"lukasz*", "*weiss*", "*WEISS ORE", "ŁUKASZ^WEIß ØRE"}, misses: []string{"ukasz*"},
	},
	{
		what: "any component group", level: archive.StudyLevel, path: path(dict.PatientName),
		stored: text(dict.PatientName, "Yamada^Tarou=山田^太郎=やまだ^たろう"),
		finds:  []string{"yamada^tarou", "山田*", "山田^太郎", "やまだ^たろう", "Yamada*=山田*", "=山田^太郎", "==やまだ*", "*太郎", "山?^太郎"},
		misses: []string{"田*", "yamada*=佐藤*", "やまた^たろう"},
	},
	{
		what: "wide letters and half-width kana", level: archive.StudyLevel, path: path(dict.PatientName),
		stored: text(dict.PatientName, "ＹＡＭＡＤＡ^Tarou=ﾔﾏﾀﾞ^ﾀﾛｳ"), finds: []string{"yamada*", "ヤマダ^タロウ"}, misses: []string{"ヤマタ*"},
	},
	{
		what: "Greek, Cyrillic, Hangul", level: archive.StudyLevel, path: path(dict.PatientName),
		stored: text(dict.PatientName, "Διονυσιος=Люкceмбypг=김^희중"),
		finds:  []string{"ΔΙΟΝΥΣΙΟΣ", "διονύσιος", "ЛЮКCEМБYPГ", "김*", "김^희중"}, misses: []string{"희*"},
	},
	{
		what: "names with text of patterns of other languages", level: archive.StudyLevel, path: path(dict.PatientName),
		stored: text(dict.PatientName, `O'Brien 100%_x[a]\Second^Name`),
		finds:  []string{"o'brien 100%_x[a]", "*100%*", "*_x*", "*[a]*", "second*", "SECOND^NAME", "*nam?"}, misses: []string{"o'brien 1%", "second_*", "*[ab]*", "o''*"},
	},
	{
		what: "several names", level: archive.StudyLevel, path: path(dict.OtherPatientNames),
		stored: text(dict.OtherPatientNames, "Roe^Jane", "Poe^Jane"), finds: []string{"roe*", "poe*", `zoe*\poe*`}, misses: []string{"zoe*", "jane*"},
	},
	{
		what: "fuzzy names", level: archive.StudyLevel, path: path(dict.PatientName), fuzzy: true,
		stored: text(dict.PatientName, "Van der Berg^Anna-Maria=王^小東"),
		finds:  []string{"berg", "anna berg", "BERG^ANNA", "mar", "maria^van", "王", "ber ann", "小"}, misses: []string{"erg", "anna smith", "東"},
	},
	{
		what: "fuzzy names of physicians", level: archive.StudyLevel, path: path(dict.ReferringPhysicianName), fuzzy: true,
		stored: text(dict.ReferringPhysicianName, "House^Gregory^^Dr"), finds: []string{"greg hou", "House"}, misses: []string{"wilson"},
	},

	// Text
	{
		what: "text without regard to case, accents and outer spaces", level: archive.StudyLevel, path: path(dict.StudyDescription),
		stored: text(dict.StudyDescription, "  Abdomen à jeun  "),
		finds:  []string{"abdomen à jeun", "ABDOMEN A JEUN", " Abdomen a jeun ", "abdo*", "*jeun", "*A JEUN", "abdomen ? jeun"},
		misses: []string{"abdomen", "abdomen  à jeun", "%", "abdomen_à_jeun", "abdo%"},
	},
	{
		what: "wildcards in text", level: archive.StudyLevel, path: path(dict.StudyDescription),
		stored: text(dict.StudyDescription, `50%_off^x=y`),
		finds:  []string{"50%_off^x=y", "*%_*", "50?_*", "*^x=y", "*0*o*x*y", "??????????y"}, misses: []string{"50%%off*", "5_%_off^x=y", "50%_off x=y", "?????", "*off"},
	},
	{
		what: "long text", level: archive.StudyLevel, path: path(dict.StudyDescription),
		stored: text(dict.StudyDescription, long),
		finds:  []string{long, long[:70] + "*", "*word end", "*up to the*", long[:10] + "*"}, misses: []string{long + "s", long[:80], long[:70] + "x*"},
	},
	{
		what: "codes without regard to case", level: archive.SeriesLevel, path: path(dict.BodyPartExamined),
		stored: text(dict.BodyPartExamined, "CHEST"), finds: []string{"CHEST", "chest", "ch*"}, misses: []string{"CHES", "CHESTS"},
	},
	{
		what: "lists of codes", level: archive.SeriesLevel, path: path(dict.Modality),
		stored: text(dict.Modality, "MR"), finds: []string{`CT\MR`, `MR`, `US\M*`, `mr`}, misses: []string{`CT\US`, `C`},
	},
	{
		what: "any of several values", level: archive.InstanceLevel, path: path(dict.ImageType),
		stored: text(dict.ImageType, "ORIGINAL", "PRIMARY", "AXIAL"), finds: []string{"PRIMARY", "axial", "ORIG*", `X\AXIAL`}, misses: []string{"PRIM", "X"},
	},
	{
		what: "identifiers of patients as they stand", level: archive.StudyLevel, path: path(dict.PatientID),
		stored: text(dict.PatientID, " Ab-1 "), finds: []string{"Ab-1", " Ab-1", "Ab*", "A?-1", "*-1", `x\Ab-1`}, misses: []string{"ab-1", "AB-1", "Ab-", "ab*", "Ab-10"},
	},
	{
		what: "accession numbers", level: archive.StudyLevel, path: path(dict.AccessionNumber),
		stored: text(dict.AccessionNumber, "Acc/001"), finds: []string{"Acc/001", "ACC/001", "acc*"}, misses: []string{"Acc/1", "001"},
	},
	{
		what: "text with backslashes is one value", level: archive.StudyLevel, path: path(dict.PatientComments),
		stored: text(dict.PatientComments, `either\or`), finds: []string{`either\or`, `*\or`}, misses: []string{`either`, `or`},
	},

	// UIDs (§C.2.2.2.2)
	{
		what: "UIDs and lists of them", level: archive.SeriesLevel, path: path(dict.FrameOfReferenceUID),
		stored: text(dict.FrameOfReferenceUID, "1.2.30"), finds: []string{"1.2.30", `1.2.3\1.2.30`, ""}, misses: []string{"1.2.3", `1.2.3\1.2.300`},
	},

	// Dates and times (§C.2.2.2.5)
	{
		what: "dates", level: archive.StudyLevel, path: path(dict.StudyDate), stored: text(dict.StudyDate, "20200229"),
		finds:  []string{"20200229", "20200229-20200229", "20200101-20201231", "20200229-", "-20200229", "202002", "2020", "2019-2020", "202002-202003", `20190101\20200229`, "2020.02.29", "*"},
		misses: []string{"20200228", "20200301-", "-20200228", "202003", "2019", "20210101-20200101", "202001-202001"},
	},
	{
		what: "a date of ACR-NEMA", level: archive.StudyLevel, path: path(dict.StudyDate), stored: text(dict.StudyDate, "1993.08.22"),
		finds: []string{"19930822", "199308", "19930801-19930831"}, misses: []string{"19930823"},
	},
	{
		what: "a date that is none", level: archive.StudyLevel, path: path(dict.StudyDate), stored: text(dict.StudyDate, "unknown"),
		finds: []string{""}, misses: []string{"20200101", "19000101-", "-20991231"},
	},
	{
		what: "times", level: archive.StudyLevel, path: path(dict.StudyTime), stored: text(dict.StudyTime, "103015.250000"),
		finds:  []string{"103015.25", "103015", "1030", "10", "10-11", "0900-1030", "103015.2-103015.3", "103015-", "-103015", "10:30:15"},
		misses: []string{"103016", "11", "1031-", "-1029", "103015.3", "103015.250001-"},
	},
	{
		what: "a time of less precision is its beginning", level: archive.StudyLevel, path: path(dict.StudyTime), stored: text(dict.StudyTime, "10"),
		finds: []string{"10", "1000", "100000", "10-", "-10"}, misses: []string{"1030", "100001-"},
	},
	{
		what: "date-times", level: archive.InstanceLevel, path: path(dict.AcquisitionDateTime), stored: text(dict.AcquisitionDateTime, "20200229103015.25"),
		finds:  []string{"20200229103015.25", "20200229", "2020", "202002291030", "20200229-20200301", "20200229103015-", "-2020022910", "2019-2021", "20200228-20200229"},
		misses: []string{"20200228", "202002291031-", "-202002291029", "2021-", "2019-2019"},
	},
	{
		what: "date-times with an offset", level: archive.InstanceLevel, path: path(dict.AcquisitionDateTime), stored: text(dict.AcquisitionDateTime, "20200229233000+0100"),
		finds:  []string{"20200229233000+0100", "20200229223000+0000", "20200301003000+0200", "20200229223000+0000-20200229223000+0000", "20200229173000-0500", "20200229173000-0500-20200229173100-0500", "20200229222959-0000-"},
		misses: []string{"20200229233000+0000", "20200229233001+0100-", "-20200229173000-0400"},
	},
	{
		what: "date-times in the zone of the data set", level: archive.InstanceLevel, path: path(dict.AcquisitionDateTime),
		stored: all(text(dict.TimezoneOffsetFromUTC, "-0500"), text(dict.AcquisitionDateTime, "20200229200000")),
		finds:  []string{"20200229200000", "20200301010000+0000", "20200229", "20200301+0000"}, misses: []string{"20200229200000+0000", "20200301"},
	},

	// Numbers
	{
		what: "numbers by what they are worth", level: archive.InstanceLevel, path: path(dict.InstanceNumber),
		stored: text(dict.InstanceNumber, " 007"), finds: []string{"7", "07", "+7", "7.0", `6\7`}, misses: []string{"70", "77", "0"},
	},
	{
		what: "binary numbers", level: archive.InstanceLevel, path: path(dict.Rows),
		stored: func(d *dicom.Dataset) { d.SetInts(dict.Rows, dict.US, 512) }, finds: []string{"512", "0512"}, misses: []string{"51", "256"},
	},

	// Universal (§C.2.2.2.3) and what has no value
	{what: "an absent attribute", level: archive.StudyLevel, path: path(dict.StudyID), stored: func(*dicom.Dataset) {}, finds: []string{"", "*", "**"}, misses: []string{"x", "?", "?*"}},
	{what: "an empty attribute", level: archive.StudyLevel, path: path(dict.StudyID), stored: text(dict.StudyID, ""), finds: []string{"", "*"}, misses: []string{"x", "?*"}},
	{what: "an absent name", level: archive.StudyLevel, path: path(dict.PatientName), stored: func(*dicom.Dataset) {}, finds: []string{"", "*"}, misses: []string{"x*", "*x*"}},
	{what: "an absent date", level: archive.StudyLevel, path: path(dict.StudyDate), stored: func(*dicom.Dataset) {}, finds: []string{""}, misses: []string{"-20991231", "2020"}},

	// Sequences (§C.2.2.2.6)
	{
		what: "any item", level: archive.SeriesLevel, path: path(dict.RequestAttributesSequence, dict.ScheduledProcedureStepID),
		stored: items(dict.RequestAttributesSequence, text(dict.ScheduledProcedureStepID, "SPS1"), text(dict.ScheduledProcedureStepID, "SPS2")),
		finds:  []string{"SPS1", "SPS2", "sps*", ""}, misses: []string{"SPS3", "SPS"},
	},
	{
		what: "codes in a sequence", level: archive.StudyLevel, path: path(dict.ProcedureCodeSequence, dict.CodeValue),
		stored: items(dict.ProcedureCodeSequence, all(text(dict.CodeValue, "24627-2"), text(dict.CodingSchemeDesignator, "LN"))),
		finds:  []string{"24627-2", "24*"}, misses: []string{"24627"},
	},
	{
		what: "a sequence in a sequence", level: archive.SeriesLevel, path: path(dict.RequestAttributesSequence, dict.ScheduledProtocolCodeSequence, dict.CodeValue),
		stored: items(dict.RequestAttributesSequence, items(dict.ScheduledProtocolCodeSequence, text(dict.CodeValue, "P1"))),
		finds:  []string{"P1"}, misses: []string{"P2"},
	},
	{what: "a sequence without items", level: archive.StudyLevel, path: path(dict.ProcedureCodeSequence, dict.CodeValue), stored: items(dict.ProcedureCodeSequence), finds: []string{""}, misses: []string{"x"}},

	// Computed
	{
		what: "modalities in study", level: archive.StudyLevel, path: path(dict.ModalitiesInStudy),
		stored: text(dict.Modality, "MG"), finds: []string{"MG", "mg", `CT\MG`, "M*", ""}, misses: []string{"MR", "CT"},
	},
	{
		what: "SOP classes in study", level: archive.StudyLevel, path: path(dict.SOPClassesInStudy),
		stored: text(dict.SOPClassUID, dict.MRImageStorage), finds: []string{dict.MRImageStorage}, misses: []string{dict.CTImageStorage},
	},
	{
		what: "SOP class", level: archive.InstanceLevel, path: path(dict.SOPClassUID),
		stored: text(dict.SOPClassUID, dict.MRImageStorage), finds: []string{dict.MRImageStorage}, misses: []string{dict.CTImageStorage},
	},

	// Attributes of the levels above
	{what: "a study's attribute at the level of series", level: archive.SeriesLevel, path: path(dict.StudyDescription), stored: text(dict.StudyDescription, "Knee"), finds: []string{"knee"}, misses: []string{"hip"}},
	{what: "a patient's attribute at the level of instances", level: archive.InstanceLevel, path: path(dict.PatientID), stored: text(dict.PatientID, "Z9"), finds: []string{"Z9"}, misses: []string{"Z"}},
	{what: "a patient's attribute at the level of patients", level: archive.PatientLevel, path: path(dict.PatientSex), stored: text(dict.PatientSex, "O"), finds: []string{"O"}, misses: []string{"M"}},
}

// items puts a sequence.
func items(tag dicom.Tag, fill ...func(*dicom.Dataset)) func(*dicom.Dataset) {
	return func(d *dicom.Dataset) {
		list := make([]*dicom.Dataset, len(fill))
		for i, f := range fill {
			list[i] = dicom.NewDataset()
			list[i].SetText(dict.SpecificCharacterSet, dict.CS, "ISO_IR 192")
			f(list[i])
		}
		d.SetItems(tag, list...)
	}
}

func testMatching(t *testing.T, open func(*testing.T, Options) index.Index) {
	ix := open(t, Options{})
	defer func() { _ = ix.Close() }()
	w := world{t, t.Context(), ix}
	marked := func(i int, with func(*dicom.Dataset)) func(*dicom.Dataset) {
		mark := fmt.Sprint("rule ", i)
		return all(text(dict.PatientBirthTime, "000000"), text(dict.AdmittingDiagnosesDescription, mark), with)
	}
	for i, r := range rules {
		w.add(image{study: i, series: 1, number: 1, with: marked(i, r.stored)})
	}
	for i, r := range rules {
		t.Run(r.what, func(t *testing.T) {
			w := world{t, t.Context(), ix}
			for _, k := range r.finds {
				w.findsStudy(r, i, k, true)
			}
			for _, k := range r.misses {
				w.findsStudy(r, i, k, false)
			}
		})
	}
	t.Run("conditions in one sequence hold for one item", func(t *testing.T) { testSameItem(world{t, t.Context(), ix}, len(rules)) })
	t.Run("dates and times may be combined", func(t *testing.T) { testCombined(world{t, t.Context(), ix}, len(rules)+1) })
	t.Run("every encoding is matched as text", func(t *testing.T) { testEncodings(world{t, t.Context(), ix}, len(rules)+10) })
}

// findsStudy checks that a key finds the study of a rule, or doesn't, among all and
// within the study alone.
func (w world) findsStudy(r rule, n int, text string, want bool) {
	w.Helper()
	q := archive.Query{Level: r.level, Fuzzy: r.fuzzy, Match: []archive.Match{w.match(r.path, text)}, Return: [][]dicom.Tag{{dict.StudyInstanceUID}, {dict.AdmittingDiagnosesDescription}}}
	if r.level == archive.PatientLevel { // has no UID to be known by
		q.Match = append(q.Match, w.match(path(dict.PatientBirthTime), "00"))
		found := len(w.find(q, access.All())) > 0
		if found != want {
			w.Errorf("key %q finds it: %t, want %t", text, found, want)
		}
		return
	}
	found := slices.ContainsFunc(w.find(q, access.All()), func(d *dicom.Dataset) bool { return d.UID(dict.StudyInstanceUID) == studyUID(n) })
	q.Ref.Study = studyUID(n)
	within := len(w.find(q, access.All())) > 0
	if found != want || within != want {
		w.Errorf("key %q finds it among all: %t, within its study: %t, want %t", text, found, within, want)
	}
}

func testSameItem(w world, n int) {
	code := func(value, scheme string) func(*dicom.Dataset) {
		return all(text(dict.CodeValue, value), text(dict.CodingSchemeDesignator, scheme))
	}
	w.add(image{study: n, series: 1, number: 1, with: items(dict.ProcedureCodeSequence, code("A", "X"), code("B", "Y"))})
	for _, c := range []struct {
		value, scheme string
		want          int
	}{{"A", "X", 1}, {"B", "Y", 1}, {"A", "Y", 0}, {"A", "", 1}} {
		q := archive.Query{Level: archive.StudyLevel, Ref: dicom.Ref{Study: studyUID(n)}, Match: []archive.Match{
			w.match(path(dict.ProcedureCodeSequence, dict.CodeValue), c.value),
			w.match(path(dict.ProcedureCodeSequence, dict.CodingSchemeDesignator), c.scheme),
		}}
		if got := len(w.find(q, access.All())); got != c.want {
			w.Errorf("code %s of %s finds %d, want %d", c.value, c.scheme, got, c.want)
		}
	}
}

func testCombined(w world, n int) {
	for i, stored := range [][2]string{{"20200101", "0800"}, {"20200101", "2000"}, {"20200102", "1200"}, {"20200103", "0800"}, {"20200103", "2000"}} {
		w.add(image{study: n + i, series: 1, number: 1, with: all(text(dict.SeriesDate, stored[0]), text(dict.SeriesTime, stored[1]))})
	}
	q := archive.Query{Level: archive.SeriesLevel, Match: append(w.matches(dict.SeriesDate, "20200101-20200103"), w.matches(dict.SeriesTime, "1000-1800")...)}
	if got := len(w.find(q, access.All())); got != 1 {
		w.Errorf("separate ranges find %d, want the one of the second day", got)
	}
	q.CombinedDateTime = true
	if got := len(w.find(q, access.All())); got != 3 {
		w.Errorf("combined ranges find %d, want the three between", got)
	}
}

// testEncodings stores names in other character sets, as they come from modalities.
func testEncodings(w world, n int) {
	for i, c := range []struct {
		charset []string
		value   string // as encoded
		key     string
	}{
		{[]string{"ISO_IR 100"}, "M\xfcnch^J\xf6rg", "münch^jörg"},
		{[]string{"ISO_IR 144"}, "\xbb\xee\xda", "люк"},
		{[]string{"", "ISO 2022 IR 87"}, "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "山田^太郎"},
		{[]string{"GB18030"}, "Wang=\xcd\xf5^\xd0\xa1\xb6\xab", "王^小东"},
		{[]string{"ISO_IR 192"}, "J\xc3\xbcrgen", "jurgen"},
	} {
		w.add(image{study: n + i, series: 1, number: 1, with: func(d *dicom.Dataset) {
			d.SetText(dict.SpecificCharacterSet, dict.CS, c.charset...)
			value := []byte(c.value)
			if len(value)%2 != 0 {
				value = append(value, ' ')
			}
			d.SetBytes(dict.PatientName, dict.PN, value)
		}})
		q := archive.Query{Level: archive.StudyLevel, Match: w.matches(dict.PatientName, c.key)}
		if got := w.find(q, access.All()); !slices.ContainsFunc(got, func(d *dicom.Dataset) bool { return d.UID(dict.StudyInstanceUID) == studyUID(n+i) }) {
			w.Errorf("name in %q isn't found by %q", c.charset, c.key)
		}
	}
}
