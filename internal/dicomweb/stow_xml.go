package dicomweb

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strconv"
	"strings"

	"pharos/internal/dicom"
)

// maxXMLDepth bounds elements in elements: a sequence takes two.
const maxXMLDepth = 80

// jsonOfXML translates the Native DICOM Model (PS3.19 §A.1) into the DICOM JSON Model,
// so that there is one way only from text to data set. Document types are refused, and
// with them every entity but those of XML itself.
func jsonOfXML(r io.Reader) (io.Reader, error) {
	x := &translator{in: xml.NewDecoder(r)}
	for {
		token, err := x.next()
		if errors.Is(err, io.EOF) {
			return nil, badRequest("the XML has no NativeDicomModel")
		}
		if err != nil {
			return nil, err
		}
		if start, ok := token.(xml.StartElement); ok {
			if start.Name.Local != "NativeDicomModel" {
				return nil, badRequest("the root of the XML must be NativeDicomModel")
			}
			if err := x.dataset(); err != nil {
				return nil, err
			}
			return &x.out, nil
		}
	}
}

type translator struct {
	in    *xml.Decoder
	out   bytes.Buffer
	depth int
}

// next returns the next token that matters.
func (x *translator) next() (xml.Token, error) {
	for {
		token, err := x.in.Token()
		if err != nil {
			return nil, xmlFault(err)
		}
		switch token.(type) {
		case xml.StartElement:
			if x.depth++; x.depth > maxXMLDepth {
				return nil, badRequest("the XML is nested too deep")
			}
		case xml.EndElement:
			x.depth--
		case xml.Directive:
			return nil, badRequest("the XML must not have a document type")
		case xml.Comment, xml.ProcInst:
			continue
		}
		return token, nil
	}
}

// xmlFault makes a fault of the text one of the request.
func xmlFault(err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) {
		return badRequest("the XML is malformed in line " + strconv.Itoa(syntax.Line))
	}
	if strings.HasPrefix(err.Error(), "xml:") { // other character encodings
		return badRequest("the XML must be UTF-8")
	}
	return err
}

// dataset translates the attributes up to the end of the current element.
func (x *translator) dataset() error {
	x.out.WriteByte('{')
	separator := ""
	for {
		token, err := x.next()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			x.out.WriteByte('}')
			return nil
		case xml.StartElement:
			if t.Name.Local != "DicomAttribute" {
				return badRequest("the XML has an element where a DicomAttribute belongs")
			}
			x.out.WriteString(separator)
			separator = ","
			if err := x.attribute(t); err != nil {
				return err
			}
		}
	}
}

// attribute translates one DicomAttribute.
func (x *translator) attribute(start xml.StartElement) error {
	tag, ok := parseHexTag(attr(start, "tag"))
	vr := attr(start, "vr")
	if !ok || len(vr) != 2 {
		return badRequest("a DicomAttribute needs a tag of eight hex digits and a vr")
	}
	x.out.WriteString(`"` + tag.Hex() + `":{"vr":`)
	x.text(vr)
	list := valueList{x: x, numeric: numericVR(vr)}
	for {
		token, err := x.next()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			list.end()
			x.out.WriteByte('}')
			return nil
		case xml.StartElement:
			if err := x.value(&list, t, tag); err != nil {
				return err
			}
		}
	}
}

// value translates what stands in a DicomAttribute.
func (x *translator) value(list *valueList, start xml.StartElement, tag dicom.Tag) error {
	switch start.Name.Local {
	case "Value":
		text, err := x.content()
		if err != nil {
			return err
		}
		return list.add(attr(start, "number"), func() error { return x.scalar(text, list.numeric) })
	case "PersonName":
		return list.add(attr(start, "number"), x.personName)
	case "Item":
		return list.add(attr(start, "number"), x.dataset)
	case "BulkData":
		x.out.WriteString(`,"BulkDataURI":`)
		uri := attr(start, "uri")
		if uri == "" {
			uri = attr(start, "uuid")
		}
		x.text(uri)
		_, err := x.content()
		return err
	case "InlineBinary":
		text, err := x.content()
		if err != nil {
			return err
		}
		x.out.WriteString(`,"InlineBinary":`)
		x.text(strings.Join(strings.Fields(text), ""))
		return nil
	}
	return badRequest("attribute " + tag.String() + " holds an element that is not of the Native DICOM Model")
}

// valueList writes the Value array of an attribute. Empty values are told by the numbers
// that are left out.
type valueList struct {
	x       *translator
	numeric bool
	n       int
}

// maxValues bounds the numbers of values, since a left out one costs nothing to send.
const maxValues = 1 << 20

func (l *valueList) add(number string, write func() error) error {
	at, ok := digits(number)
	if !ok || at < 1 || at > maxValues || int(at) <= l.n {
		return badRequest("the numbers of values must ascend from 1")
	}
	if l.n == 0 {
		l.x.out.WriteString(`,"Value":[`)
	} else {
		l.x.out.WriteByte(',')
	}
	for l.n++; l.n < int(at); l.n++ {
		l.x.out.WriteString("null,")
	}
	return write()
}

func (l *valueList) end() {
	if l.n > 0 {
		l.x.out.WriteByte(']')
	}
}

// content returns the text of the current element, which holds nothing else.
func (x *translator) content() (string, error) {
	var text strings.Builder
	for {
		token, err := x.next()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			return text.String(), nil
		default:
			return "", badRequest("the XML has an element where text belongs")
		}
	}
}

// personName translates the component groups (PS3.19 §A.1.6, PS3.18 §F.2.2).
func (x *translator) personName() error {
	x.out.WriteByte('{')
	separator := ""
	for {
		token, err := x.next()
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.EndElement:
			x.out.WriteByte('}')
			return nil
		case xml.StartElement:
			group := t.Name.Local
			if group != "Alphabetic" && group != "Ideographic" && group != "Phonetic" {
				return badRequest("a PersonName holds Alphabetic, Ideographic and Phonetic")
			}
			name, err := x.nameGroup()
			if err != nil {
				return err
			}
			x.out.WriteString(separator + `"` + group + `":`)
			separator = ","
			x.text(name)
		}
	}
}

// nameGroup joins the components of a name with carets.
func (x *translator) nameGroup() (string, error) {
	order := [...]string{"FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"}
	var components [len(order)]string
	for {
		token, err := x.next()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.EndElement:
			return strings.TrimRight(strings.Join(components[:], "^"), "^"), nil
		case xml.StartElement:
			text, err := x.content()
			if err != nil {
				return "", err
			}
			for i, name := range order {
				if name == t.Name.Local {
					components[i] = text
				}
			}
		}
	}
}

// scalar writes a value: a number where the VR is binary, else a string.
func (x *translator) scalar(text string, numeric bool) error {
	if number := strings.TrimSpace(text); numeric && json.Valid([]byte(number)) && number != "" && number[0] != '"' && number[0] != '[' && number[0] != '{' {
		x.out.WriteString(number)
		return nil
	}
	x.text(text)
	return nil
}

func (x *translator) text(s string) {
	quoted, err := json.Marshal(s)
	if err != nil {
		quoted = []byte(`""`) // strings always marshal
	}
	x.out.Write(quoted)
}

// numericVR reports whether DICOM JSON writes values of the VR as numbers.
func numericVR(vr string) bool {
	switch vr {
	case "DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV":
		return true
	}
	return false
}

func attr(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}
