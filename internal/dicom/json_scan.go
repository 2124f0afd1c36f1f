package dicom

import (
	"bufio"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonScanner reads the grammar of RFC 8259 from a stream, byte by byte, without
// recursion of its own.
type jsonScanner struct {
	r      *bufio.Reader
	offset int64 // in bytes, of what comes next
}

// errJSON says that the input is no JSON.
var errJSON = errors.New("not JSON")

func (s *jsonScanner) readByte() (byte, error) {
	c, err := s.r.ReadByte()
	if err == nil {
		s.offset++
	}
	return c, err
}

func (s *jsonScanner) unread() {
	if s.r.UnreadByte() == nil {
		s.offset--
	}
}

// next consumes the next byte that is no white space.
func (s *jsonScanner) next() (byte, error) {
	for {
		c, err := s.readByte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c, nil
		}
	}
}

// expect consumes the next byte, which must be c.
func (s *jsonScanner) expect(c byte) error {
	switch got, err := s.next(); {
	case err != nil:
		return err
	case got != c:
		return errJSON
	}
	return nil
}

// word consumes the rest of null, true or false.
func (s *jsonScanner) word(rest string) error {
	for i := range len(rest) {
		switch c, err := s.readByte(); {
		case err != nil:
			return err
		case c != rest[i]:
			return errJSON
		}
	}
	return nil
}

// object calls member for every member of an object whose brace is consumed. member
// consumes the value.
func (s *jsonScanner) object(member func(key string) error) error {
	c, err := s.next()
	if err != nil || c == '}' {
		return err
	}
	for {
		if c != '"' {
			return errJSON
		}
		key, err := s.text(maxJSONKey)
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		if err := member(key); err != nil {
			return err
		}
		more, err := s.more('}')
		if err != nil || !more {
			return err
		}
		if c, err = s.next(); err != nil {
			return err
		}
	}
}

// maxJSONKey is the longest key in bytes. The longest keyword of PS3.6 has 64.
const maxJSONKey = 256

// array calls value with the first byte of every value of an array whose bracket is
// consumed. value consumes the rest.
func (s *jsonScanner) array(value func(first byte) error) error {
	c, err := s.next()
	if err != nil || c == ']' {
		return err
	}
	for {
		if err := value(c); err != nil {
			return err
		}
		more, err := s.more(']')
		if err != nil || !more {
			return err
		}
		if c, err = s.next(); err != nil {
			return err
		}
	}
}

// more consumes a comma or the end of an object or array.
func (s *jsonScanner) more(end byte) (bool, error) {
	switch c, err := s.next(); {
	case err != nil:
		return false, err
	case c == ',':
		return true, nil
	case c == end:
		return false, nil
	}
	return false, errJSON
}

// text consumes a string of at most limit bytes whose quotation mark is consumed.
func (s *jsonScanner) text(limit int64) (string, error) {
	var b []byte
	for {
		c, err := s.readByte()
		if err != nil {
			return "", err
		}
		switch {
		case c == '"':
			if !utf8.Valid(b) {
				return "", errJSON
			}
			return string(b), nil
		case c < ' ':
			return "", errJSON
		case c == '\\':
			if b, err = s.escape(b); err != nil {
				return "", err
			}
		default:
			b = append(b, c)
		}
		if int64(len(b)) > limit {
			return "", ErrTooLarge
		}
	}
}

// escape appends what stands behind a backslash.
func (s *jsonScanner) escape(b []byte) ([]byte, error) {
	c, err := s.readByte()
	if err != nil {
		return nil, err
	}
	switch c {
	case '"', '\\', '/':
		return append(b, c), nil
	case 'b':
		return append(b, '\b'), nil
	case 'f':
		return append(b, '\f'), nil
	case 'n':
		return append(b, '\n'), nil
	case 'r':
		return append(b, '\r'), nil
	case 't':
		return append(b, '\t'), nil
	case 'u':
		return s.unicode(b)
	}
	return nil, errJSON
}

// unicode appends the character of a \u escape, or of two that are a surrogate pair.
// A lone surrogate is U+FFFD.
func (s *jsonScanner) unicode(b []byte) ([]byte, error) {
	r, err := s.hex4()
	for err == nil && utf16.IsSurrogate(r) {
		if next, _ := s.r.Peek(2); string(next) != `\u` {
			return utf8.AppendRune(b, utf8.RuneError), nil
		}
		if err = s.word(`\u`); err != nil {
			break
		}
		var low rune
		if low, err = s.hex4(); err != nil {
			break
		}
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return utf8.AppendRune(b, pair), nil
		}
		b, r = utf8.AppendRune(b, utf8.RuneError), low
	}
	if err != nil {
		return nil, err
	}
	return utf8.AppendRune(b, r), nil
}

func (s *jsonScanner) hex4() (rune, error) {
	var r rune
	for range 4 {
		c, err := s.readByte()
		if err != nil {
			return 0, err
		}
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, errJSON
		}
	}
	return r, nil
}

// maxJSONNumber is the longest number in bytes. A float64 needs no more than 24.
const maxJSONNumber = 400

// number consumes a number whose first byte is consumed.
func (s *jsonScanner) number(first byte) (string, error) {
	b := []byte{first}
	for {
		c, err := s.readByte()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
		if (c < '0' || c > '9') && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
			s.unread()
			break
		}
		if b = append(b, c); len(b) > maxJSONNumber {
			return "", ErrTooLarge
		}
	}
	if !validNumber(b) {
		return "", errJSON
	}
	return string(b), nil
}

// validNumber reports whether text is a number of RFC 8259 §6.
func validNumber(text []byte) bool {
	if len(text) > 0 && text[0] == '-' {
		text = text[1:]
	}
	whole, text := cutDigits(text)
	if len(whole) == 0 || len(whole) > 1 && whole[0] == '0' {
		return false
	}
	if len(text) > 0 && text[0] == '.' {
		var fraction []byte
		if fraction, text = cutDigits(text[1:]); len(fraction) == 0 {
			return false
		}
	}
	if len(text) > 0 && (text[0] == 'e' || text[0] == 'E') {
		exponent, _ := cutSign(text[1:])
		digits, rest := cutDigits(exponent)
		return len(digits) > 0 && len(rest) == 0
	}
	return len(text) == 0
}
