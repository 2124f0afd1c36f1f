package dicom

import "io"

// Inflate reads the data set behind a deflated one (PS3.5 §A.5), within
// Limits.Inflated: more is ErrTooLarge.
func Inflate(r io.Reader, limits Limits) io.Reader {
	return newInflater(newInput(r, 0, nil), limits.withDefaults().Inflated)
}
