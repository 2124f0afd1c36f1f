package dicomtest

// Patient is who an instance is of.
type Patient struct {
	ID      string
	Name    string   // person name with its component groups
	Sex     string   // M, F, O
	Birth   string   // YYYYMMDD
	Charset []string // defined terms that can express Name; none is the default repertoire
}

// Patients returns patients whose names are in many scripts, each in a character set
// that is used where it is.
func Patients() []Patient {
	return []Patient{
		{ID: "PH-0001", Name: "Example^Ada", Sex: "F", Birth: "19500101"},
		{ID: "PH-0002", Name: "Müßig^Jörg", Sex: "M", Birth: "19611203", Charset: []string{"ISO_IR 100"}},
		{ID: "PH-0003", Name: "Yamada^Tarou=山田^太郎=やまだ^たろう", Sex: "M", Birth: "19700704", Charset: []string{"", "ISO 2022 IR 87"}},
		{ID: "PH-0004", Name: "Hong^Gildong=洪^吉洞=홍^길동", Sex: "M", Birth: "19820815", Charset: []string{"", "ISO 2022 IR 149"}},
		{ID: "PH-0005", Name: "Wang^XiaoDong=王^小东", Sex: "F", Birth: "19930930", Charset: []string{"GB18030"}},
		{ID: "PH-0006", Name: "Люкceмбypг", Sex: "F", Birth: "19440229", Charset: []string{"ISO_IR 144"}},
		{ID: "PH-0007", Name: "Διονυσιος", Sex: "M", Birth: "19570525", Charset: []string{"ISO_IR 126"}},
		{ID: "PH-0008", Name: "قباني^لنزار", Sex: "M", Birth: "19880411", Charset: []string{"ISO_IR 127"}},
		{ID: "PH-0009", Name: "שרון^דבורה", Sex: "F", Birth: "20010618", Charset: []string{"ISO_IR 138"}},
		{ID: "PH-0010", Name: "Buc^Jérôme", Sex: "M", Birth: "20141224", Charset: []string{"ISO_IR 192"}},
		{ID: "PH-0011", Name: "สมใจ^นิภา", Sex: "F", Birth: "19790131", Charset: []string{"ISO_IR 166"}},
		{ID: "PH-0012", Name: "Nguyễn^Thị Mai", Sex: "F", Birth: "19991109", Charset: []string{"ISO_IR 192"}},
	}
}

func firstPatient() Patient {
	return Patient{ID: "PH-0001", Name: "Example^Ada", Sex: "F", Birth: "19500101"}
}
