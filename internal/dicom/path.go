package dicom

import (
	"strconv"
	"strings"
)

// At returns the element at a path as [BulkURI] spells it: tags of eight hex digits
// and, between a sequence and what is inside it, item numbers from 0, joined by slashes.
// Nil when there is none.
func (d *Dataset) At(path string) *Element {
	hex, rest, nested := strings.Cut(path, "/")
	number, err := strconv.ParseUint(hex, 16, 32)
	if err != nil || len(hex) != 8 {
		return nil
	}
	e := d.Get(Tag(number))
	if e == nil || !nested {
		return e
	}
	item, rest, _ := strings.Cut(rest, "/")
	i, err := strconv.Atoi(item)
	if err != nil || i < 0 || i >= len(e.Items) {
		return nil
	}
	return e.Items[i].At(rest)
}
