package dicom

// Limits bound what hostile input can cost. The zero value of a field means its default.
type Limits struct {
	Depth    int   // nested sequences; default 32
	Elements int   // elements in all, nested ones, items and fragments included; default 4,000,000
	Value    int64 // a longer value is reported as a range, not loaded; default 64 KiB, negative: load none
	Pixels   int64 // the same for the pixel data of the outermost data set; default as Value
	Memory   int64 // bytes of values loaded by one Reader in all; what goes beyond is reported as ranges; default 64 MiB
	Inflated int64 // bytes that a deflated data set may inflate to; default 4 GiB, and at most 1,100 times its deflated size
}

const defaultValueLimit = 64 << 10

// withDefaults replaces zeroes.
func (l Limits) withDefaults() Limits {
	if l.Depth == 0 {
		l.Depth = 32
	}
	if l.Elements == 0 {
		l.Elements = 4_000_000
	}
	if l.Value == 0 {
		l.Value = defaultValueLimit
	}
	if l.Pixels == 0 {
		l.Pixels = l.Value
	}
	if l.Memory == 0 {
		l.Memory = 64 << 20
	}
	if l.Inflated == 0 {
		l.Inflated = 4 << 30
	}
	return l
}
