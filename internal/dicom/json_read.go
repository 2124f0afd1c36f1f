package dicom

import (
	"bufio"
	"encoding/base64"
	"errors"
	"io"
	"strconv"

	"pharos/internal/dicom/dict"
)

// JSONReader reads one data set of the DICOM JSON Model (PS3.18 §F), or an array of
// them one by one. Besides what §F asks for it accepts keywords as keys, hexadecimal
// digits of either case, a vr that is missing but in the dictionary, and numbers as
// strings and strings as numbers.
type JSONReader struct {
	modelReader
	jsonScanner
	path  modelPath
	tag   Tag // begun last, for errors
	array bool
	begun bool
	err   error
}

// NewJSONReader reads data sets from r. Limits count for each data set, except
// Inflated, which does not, and Value: a value may be as long as Memory allows.
func NewJSONReader(r io.Reader, limits Limits) *JSONReader {
	return &JSONReader{
		modelReader: modelReader{limits: limits.withDefaults()},
		jsonScanner: jsonScanner{r: bufio.NewReaderSize(r, 32<<10)},
	}
}

// Next returns the next data set; its text is UTF-8 and it says so. It returns io.EOF
// at the end and a *SyntaxError for what cannot be understood; the same again after
// that. An element with a BulkDataURI is returned with an empty value; bulk maps its
// path (see BulkURI) to the URI.
func (j *JSONReader) Next() (d *Dataset, bulk map[string]string, err error) {
	if j.err != nil {
		return nil, nil, j.err
	}
	j.start()
	d, err = j.document()
	if err != nil {
		j.err = err
		if !errors.Is(err, io.EOF) {
			j.err = j.located(err)
		}
		return nil, nil, j.err
	}
	return d, j.finish(d), nil
}

// located makes a SyntaxError that tells where.
func (j *JSONReader) located(err error) error {
	var located *SyntaxError
	switch {
	case errors.As(err, &located):
		located.Offset = j.offset
		return located
	case errors.Is(err, errJSON):
		return &SyntaxError{Tag: j.tag, Offset: j.offset, Err: ErrMalformed, Detail: "not JSON"}
	}
	return &SyntaxError{Tag: j.tag, Offset: j.offset, Err: err}
}

// document reads what stands around the data sets and the next one of them.
func (j *JSONReader) document() (*Dataset, error) {
	first := !j.begun
	if first {
		if err := j.begin(); err != nil {
			return nil, err
		}
	}
	c, err := j.next()
	switch {
	case errors.Is(err, io.EOF) && !j.array:
		return nil, io.EOF
	case err != nil:
		return nil, truncated(err)
	case !j.array && !first:
		return nil, errJSON // something behind the only data set
	case c == ']' && j.array:
		return nil, j.end()
	case c == ',' && j.array && !first:
		if c, err = j.next(); err != nil {
			return nil, truncated(err)
		}
	case !first:
		return nil, errJSON
	}
	if c != '{' {
		return nil, errJSON
	}
	d, err := j.dataset(0)
	return d, truncated(err)
}

// begin consumes a byte order mark and the bracket of an array.
func (j *JSONReader) begin() error {
	j.begun = true
	if mark, _ := j.r.Peek(3); string(mark) == "\uFEFF" {
		if err := j.word("\uFEFF"); err != nil {
			return err
		}
	}
	switch c, err := j.next(); {
	case err != nil:
		return err
	case c == '[':
		j.array = true
	default:
		j.unread()
	}
	return nil
}

// end makes sure that nothing follows the array.
func (j *JSONReader) end() error {
	if _, err := j.next(); err != nil {
		return err
	}
	return errJSON
}

// truncated says that the end of the input is too early.
func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return ErrTruncated
	}
	return err
}

// dataset reads a data set whose brace is consumed.
func (j *JSONReader) dataset(depth int) (*Dataset, error) {
	d, name, err := j.members(depth)
	if err == nil && name != nil {
		err = modelError(j.tag, "a person name instead of a data set")
	}
	return d, err
}

// members reads the members of an object whose brace is consumed: of a data set, or of
// a person name, which is nil if it is none.
func (j *JSONReader) members(depth int) (*Dataset, *PersonName, error) {
	if depth > j.limits.Depth {
		return nil, nil, &SyntaxError{Tag: j.tag, Err: ErrTooLarge, Detail: "sequences are nested too deep"}
	}
	var elements []*Element
	var name *PersonName
	err := j.object(func(key string) error {
		if group := nameGroup(&name, key); group != nil {
			return j.nameGroup(group)
		}
		tag, ok := parseKey(key)
		if !ok {
			return modelError(j.tag, "the key of an element is no tag and no keyword")
		}
		e, err := j.readElement(tag, depth)
		elements = append(elements, e)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if name != nil && len(elements) > 0 {
		return nil, nil, modelError(j.tag, "a person name with elements")
	}
	d, err := gather(elements)
	return d, name, err
}

// nameGroup returns the component group that a key names, in a name that is made when
// needed; nil when it names none.
func nameGroup(name **PersonName, key string) *string {
	if key != "Alphabetic" && key != "Ideographic" && key != "Phonetic" {
		return nil
	}
	if *name == nil {
		*name = &PersonName{}
	}
	switch key {
	case "Alphabetic":
		return &(*name).Alphabetic
	case "Ideographic":
		return &(*name).Ideographic
	}
	return &(*name).Phonetic
}

func (j *JSONReader) nameGroup(group *string) error {
	switch c, err := j.next(); {
	case err != nil:
		return err
	case c == 'n':
		return j.word("ull")
	case c != '"':
		return errJSON
	}
	var err error
	*group, err = j.keptText()
	return err
}

// keptText consumes a string that counts against the limits.
func (j *JSONReader) keptText() (string, error) {
	s, err := j.text(j.limits.Memory - j.memory)
	if err != nil {
		return "", err
	}
	return s, j.spend(len(s))
}

// parseKey reads eight hexadecimal digits or a keyword.
func parseKey(key string) (Tag, bool) {
	if len(key) == 8 {
		if n, err := strconv.ParseUint(key, 16, 32); err == nil {
			return Tag(n), true
		}
	}
	e, ok := dict.ByKeyword(key)
	return e.Tag, ok
}

// readElement reads the attribute object of an element (§F.2.2).
func (j *JSONReader) readElement(tag Tag, depth int) (*Element, error) {
	j.tag = tag
	if err := j.countElement(); err != nil {
		return nil, err
	}
	if err := j.expect('{'); err != nil {
		return nil, err
	}
	in := modelElement{tag: tag}
	err := j.object(func(key string) (err error) {
		switch key {
		case "vr":
			in.vr, err = j.vr()
		case "Value":
			in.hasValue = true
			err = j.values(&in, depth)
		case "InlineBinary":
			in.hasBinary = true
			in.binary, err = j.inlineBinary()
		case "BulkDataURI":
			in.hasURI = true
			if err = j.expect('"'); err == nil {
				in.uri, err = j.keptText()
			}
		default:
			err = modelError(tag, "unknown member of an element")
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return j.element(in, j.path)
}

func (j *JSONReader) vr() (VR, error) {
	if err := j.expect('"'); err != nil {
		return 0, err
	}
	s, err := j.text(maxJSONKey)
	if err != nil {
		return 0, err
	}
	if len(s) != 2 || !dict.MakeVR(s[0], s[1]).Known() {
		return 0, modelError(j.tag, "unknown VR")
	}
	return dict.MakeVR(s[0], s[1]), nil
}

// inlineBinary reads base64, with or without padding.
func (j *JSONReader) inlineBinary() ([]byte, error) {
	if err := j.expect('"'); err != nil {
		return nil, err
	}
	s, err := j.keptText()
	if err != nil {
		return nil, err
	}
	return decodeBase64(j.tag, s)
}

func decodeBase64(tag Tag, s string) ([]byte, error) {
	for len(s) > 0 && s[len(s)-1] == '=' {
		s = s[:len(s)-1]
	}
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil {
		return nil, modelError(tag, "not base64")
	}
	return b, nil
}

// values reads the array of values of an element.
func (j *JSONReader) values(in *modelElement, depth int) error {
	switch c, err := j.next(); {
	case err != nil:
		return err
	case c == 'n':
		return j.word("ull")
	case c != '[':
		return errJSON
	}
	return j.jsonScanner.array(func(first byte) error {
		v, err := j.oneValue(in, first, depth)
		if err != nil {
			return err
		}
		in.values = append(in.values, v)
		return j.spend(valueCost)
	})
}

// valueCost is what a value costs in memory besides its text, in bytes.
const valueCost = 40

func (j *JSONReader) oneValue(in *modelElement, first byte, depth int) (v modelValue, err error) {
	switch {
	case first == '"':
		v.text, err = j.keptText()
	case first == 'n':
		err = j.word("ull")
	case first == '-' || first >= '0' && first <= '9':
		v.number = true
		v.text, err = j.number(first)
	case first == '{':
		return j.objectValue(in, depth)
	default:
		err = errJSON
	}
	return v, err
}

// objectValue reads an item or a person name. An empty object may be either.
func (j *JSONReader) objectValue(in *modelElement, depth int) (v modelValue, err error) {
	if err := j.countElement(); err != nil {
		return v, err
	}
	outer, tag := j.path, j.tag
	j.path = outer.item(in.tag, len(in.values))
	d, name, err := j.members(depth + 1)
	j.path, j.tag = outer, tag
	switch {
	case err != nil:
	case name != nil:
		v.text = name.String()
	default:
		v.item = d
	}
	return v, err
}
