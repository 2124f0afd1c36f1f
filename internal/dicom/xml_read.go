package dicom

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"pharos/internal/dicom/dict"
)

// XMLReader reads a data set in the Native DICOM Model (PS3.19 §A.1). Name spaces are
// ignored. A document type declaration is an error, as is an entity that XML itself
// does not define.
type XMLReader struct {
	modelReader
	in      *tokenInput
	decoder *xml.Decoder
	path    modelPath
	tag     Tag // begun last, for errors
	err     error
}

// NewXMLReader reads a document from r. Limits count as for NewJSONReader.
func NewXMLReader(r io.Reader, limits Limits) *XMLReader {
	in := &tokenInput{r: r}
	return &XMLReader{
		modelReader: modelReader{limits: limits.withDefaults()},
		in:          in,
		decoder:     xml.NewDecoder(in),
	}
}

// Next returns the data set, and io.EOF when called again or when the document is
// empty; otherwise all is as in [JSONReader.Next].
func (x *XMLReader) Next() (d *Dataset, bulk map[string]string, err error) {
	if x.err != nil {
		return nil, nil, x.err
	}
	x.start()
	if d, err = x.document(); err != nil {
		x.err = x.located(err)
		return nil, nil, x.err
	}
	x.err = io.EOF
	return d, x.finish(d), nil
}

// located makes a SyntaxError that tells where.
func (x *XMLReader) located(err error) error {
	var located *SyntaxError
	var syntax *xml.SyntaxError
	switch {
	case errors.As(err, &located):
		located.Offset = x.decoder.InputOffset()
		return located
	case errors.Is(err, ErrTooLarge):
		err = ErrTooLarge
	case x.in.err != nil && !errors.Is(x.in.err, io.EOF):
		err = x.in.err
	case errors.Is(err, io.EOF) && x.decoder.InputOffset() == 0:
		return io.EOF
	case errors.Is(err, io.EOF), errors.As(err, &syntax) && errors.Is(x.in.err, io.EOF):
		err = ErrTruncated
	default: // its text may hold a value
		return &SyntaxError{Tag: x.tag, Offset: x.decoder.InputOffset(), Err: ErrMalformed, Detail: "not XML"}
	}
	return &SyntaxError{Tag: x.tag, Offset: x.decoder.InputOffset(), Err: err}
}

// document reads the outermost element and makes sure that nothing follows.
func (x *XMLReader) document() (*Dataset, error) {
	root, err := x.child()
	if err != nil {
		return nil, err
	}
	if root == nil || root.Name.Local != "NativeDicomModel" {
		return nil, modelError(0, "no NativeDicomModel")
	}
	d, err := x.dataset(0)
	if err != nil {
		return nil, err
	}
	switch _, err := x.token(); {
	case errors.Is(err, io.EOF):
		return d, nil
	case err != nil:
		return nil, err
	}
	return nil, modelError(x.tag, "something behind the data set")
}

// token returns the next token that matters.
func (x *XMLReader) token() (xml.Token, error) {
	for {
		x.in.left = tokenReserve + max(0, x.limits.Memory-x.memory)
		t, err := x.decoder.Token()
		if err != nil {
			return nil, err
		}
		switch t := t.(type) {
		case xml.Directive:
			return nil, modelError(x.tag, "a document type declaration")
		case xml.Comment, xml.ProcInst:
		case xml.CharData:
			if len(strings.TrimSpace(string(t))) > 0 {
				return nil, modelError(x.tag, "text between elements")
			}
		default:
			return t, nil
		}
	}
}

// child returns the next element inside the one at hand, or nil at its end.
func (x *XMLReader) child() (*xml.StartElement, error) {
	t, err := x.token()
	if err != nil {
		return nil, err
	}
	if start, ok := t.(xml.StartElement); ok {
		return &start, nil
	}
	return nil, nil
}

// text returns the text up to the end of the element at hand, which has no others.
func (x *XMLReader) text() (string, error) {
	var text strings.Builder
	for {
		x.in.left = tokenReserve + max(0, x.limits.Memory-x.memory)
		t, err := x.decoder.Token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			if err := x.spend(len(t)); err != nil {
				return "", err
			}
			text.Write(t)
		case xml.EndElement:
			return text.String(), nil
		case xml.Comment, xml.ProcInst:
		default:
			return "", modelError(x.tag, "elements in a text")
		}
	}
}

// dataset reads the attributes of a data set or item whose start is consumed.
func (x *XMLReader) dataset(depth int) (*Dataset, error) {
	if depth > x.limits.Depth {
		return nil, &SyntaxError{Tag: x.tag, Err: ErrTooLarge, Detail: "sequences are nested too deep"}
	}
	var elements []*Element
	var private []privateElement
	for {
		start, err := x.child()
		if err != nil {
			return nil, err
		}
		if start == nil {
			break
		}
		references := len(x.bulk)
		e, creator, err := x.attribute(start, depth)
		if err != nil {
			return nil, err
		}
		if creator != "" && e.Tag.Element() < 0x100 {
			private = append(private, privateElement{e, creator, references, len(x.bulk)})
		} else {
			elements = append(elements, e)
		}
	}
	d, err := gather(elements)
	if err != nil || len(private) == 0 {
		return d, err
	}
	return x.placePrivate(d, private)
}

// privateElement is an element whose block is yet to be found.
type privateElement struct {
	*Element
	creator  string
	from, to int // the references in it, in the reader's list
}

// placePrivate puts private elements into the block of their creator, which is made
// when there is none.
func (x *XMLReader) placePrivate(d *Dataset, private []privateElement) (*Dataset, error) {
	type owner struct {
		group uint16
		name  string
	}
	blocks := map[owner]Tag{}
	elements := slices.Clone(d.elements)
	for _, p := range private {
		key := owner{p.Tag.Group(), p.creator}
		block, ok := blocks[key]
		if !ok {
			if block = d.creatorBlock(key.group, key.name); block == 0 {
				block = d.freeBlock(key.group)
				if block == 0 {
					return nil, modelError(p.Tag, "no block is free for its creator")
				}
				creator := &Element{Tag: block, VR: dict.LO, Value: padEven([]byte(key.name), dict.LO)}
				x.extended = x.extended || !isASCII([]byte(key.name))
				d.Put(creator)
				elements = append(elements, creator)
			}
			blocks[key] = block
		}
		p.Tag |= Tag(block.Element()) << 8
		for i := p.from; i < p.to; i++ {
			x.bulk[i].path = x.path.to(p.Tag) + x.bulk[i].path[len(x.path)+8:]
		}
		elements = append(elements, p.Element)
	}
	return gather(elements)
}

// freeBlock returns the first tag that may reserve a block of a group, or 0.
func (d *Dataset) freeBlock(group uint16) Tag {
	for element := uint16(0x10); element <= 0xFF; element++ {
		if t := dict.MakeTag(group, element); !d.Has(t) {
			return t
		}
	}
	return 0
}

// attribute reads a DicomAttribute whose start is consumed.
func (x *XMLReader) attribute(start *xml.StartElement, depth int) (*Element, string, error) {
	if err := x.countElement(); err != nil {
		return nil, "", err
	}
	in, creator, err := parseAttribute(start)
	if err != nil {
		return nil, "", err
	}
	x.tag = in.tag
	for {
		child, err := x.child()
		if err != nil {
			return nil, "", err
		}
		if child == nil {
			break
		}
		if err := x.content(&in, child, depth); err != nil {
			return nil, "", err
		}
	}
	e, err := x.element(in, x.path)
	return e, creator, err
}

// parseAttribute reads the XML attributes of a DicomAttribute. A keyword serves when
// there is no tag.
func parseAttribute(start *xml.StartElement) (in modelElement, creator string, err error) {
	tag, keyword := "", ""
	for _, a := range start.Attr {
		switch a.Name.Local {
		case "tag":
			tag = a.Value
		case "keyword":
			keyword = a.Value
		case "privateCreator":
			creator = strings.TrimSpace(a.Value)
		case "vr":
			if len(a.Value) != 2 {
				return in, "", modelError(0, "unknown VR")
			}
			in.vr = dict.MakeVR(a.Value[0], a.Value[1])
		}
	}
	if tag == "" {
		tag = keyword
	}
	var ok bool
	if in.tag, ok = parseKey(tag); !ok || start.Name.Local != "DicomAttribute" {
		return in, "", modelError(in.tag, "no DicomAttribute with a tag")
	}
	if creator != "" && !in.tag.Private() {
		creator = ""
	}
	return in, creator, nil
}

// content reads one child of a DicomAttribute.
func (x *XMLReader) content(in *modelElement, child *xml.StartElement, depth int) (err error) {
	var v modelValue
	switch child.Name.Local {
	case "Value":
		v.text, err = x.text()
	case "PersonName":
		v.text, err = x.name()
	case "Item":
		v.item, err = x.item(in.tag, len(in.values), depth)
	case "InlineBinary":
		in.hasBinary = true
		var text string
		if text, err = x.text(); err == nil {
			in.binary, err = decodeBase64(in.tag, strings.Join(strings.Fields(text), ""))
		}
		return err
	case "BulkData":
		in.hasURI = true
		in.uri = attributeOf(child, "uri")
		if in.uri == "" {
			in.uri = attributeOf(child, "uuid")
		}
		_, err = x.text()
		return err
	default:
		return modelError(in.tag, "unknown child of a DicomAttribute")
	}
	if err != nil {
		return err
	}
	in.hasValue = true
	return x.place(in, v, attributeOf(child, "number"))
}

// place appends a value, behind as many empty ones as its number tells.
func (x *XMLReader) place(in *modelElement, v modelValue, number string) error {
	index := len(in.values)
	if number != "" {
		n, err := strconv.Atoi(number)
		if err != nil || n <= index {
			return modelError(in.tag, "the numbers of its values do not ascend")
		}
		index = n - 1
	}
	gap := index - len(in.values)
	if gap > 0 && v.item != nil {
		return modelError(in.tag, "an item is missing")
	}
	if int64(gap) > x.limits.Memory/valueCost {
		return ErrTooLarge
	}
	if err := x.spend(valueCost * (gap + 1)); err != nil {
		return err
	}
	in.values = append(in.values, slices.Repeat([]modelValue{{}}, gap)...)
	in.values = append(in.values, v)
	return nil
}

func (x *XMLReader) item(sequence Tag, number, depth int) (*Dataset, error) {
	if err := x.countElement(); err != nil {
		return nil, err
	}
	outer, tag := x.path, x.tag
	x.path = outer.item(sequence, number)
	d, err := x.dataset(depth + 1)
	if err == nil {
		x.path, x.tag = outer, tag
	}
	return d, err
}

// name reads the component groups of a PersonName.
func (x *XMLReader) name() (string, error) {
	var name *PersonName
	for {
		child, err := x.child()
		if err != nil {
			return "", err
		}
		if child == nil {
			break
		}
		group := nameGroup(&name, child.Name.Local)
		if group == nil {
			return "", modelError(x.tag, "unknown component group")
		}
		if *group, err = x.components(); err != nil {
			return "", err
		}
	}
	if name == nil {
		return "", nil
	}
	return name.String(), nil
}

func (x *XMLReader) components() (string, error) {
	var components [len(nameComponents)]string
	for {
		child, err := x.child()
		if err != nil {
			return "", err
		}
		if child == nil {
			return strings.TrimRight(strings.Join(components[:], "^"), "^"), nil
		}
		i := slices.Index(nameComponents[:], child.Name.Local)
		if i < 0 {
			return "", modelError(x.tag, "unknown name component")
		}
		if components[i], err = x.text(); err != nil {
			return "", err
		}
	}
}

func attributeOf(start *xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// tokenReserve is how many bytes of input a token may have besides its value: the
// decoder reads ahead, and its markup is longer than what it means.
const tokenReserve = 64 << 10

// tokenInput bounds how much the decoder reads, and so keeps, for one token.
type tokenInput struct {
	r    io.Reader
	left int64
	err  error // of r, the last one
}

func (t *tokenInput) Read(p []byte) (int, error) {
	if t.left <= 0 {
		return 0, ErrTooLarge
	}
	n, err := t.r.Read(p[:min(int64(len(p)), t.left)])
	t.left -= int64(n)
	if err != nil {
		t.err = err
	}
	return n, err
}
