package dicom

import (
	"bytes"
	"strconv"

	"pharos/internal/dicom/dict"
)

// appendJSONTexts appends the values of a character VR, whose text is UTF-8. Empty ones
// among others are null (PS3.18 §F.2.5); nothing is appended when there is only padding.
func appendJSONTexts(b, text []byte, vr VR) []byte {
	if !multiValued(vr) {
		if text = trimBytes(text, vr); len(text) > 0 {
			b = appendJSONString(b, text)
		}
		return b
	}
	part, rest, more := bytes.Cut(text, backslash)
	if !more {
		if part = trimBytes(part, vr); len(part) > 0 {
			b = appendJSONText(b, part, vr)
		}
		return b
	}
	for {
		b = appendJSONText(b, trimBytes(part, vr), vr)
		if !more {
			return b
		}
		b = append(b, ',')
		part, rest, more = bytes.Cut(rest, backslash)
	}
}

var backslash = []byte{'\\'}

// appendJSONText appends one value without padding.
func appendJSONText(b, text []byte, vr VR) []byte {
	switch {
	case len(text) == 0:
		return append(b, "null"...)
	case vr == dict.PN:
		return appendJSONName(b, text)
	case vr == dict.IS || vr == dict.DS:
		return appendJSONNumber(b, text, vr)
	}
	return appendJSONString(b, text)
}

// appendJSONName appends a person name with the groups that it has (§F.2.2).
func appendJSONName(b, text []byte) []byte {
	start := len(b)
	for _, key := range [...]string{`"Alphabetic":`, `"Ideographic":`, `"Phonetic":`} {
		var group []byte
		if key == `"Phonetic":` {
			group = text
		} else {
			group, text, _ = bytes.Cut(text, []byte{'='})
		}
		if len(group) == 0 {
			continue
		}
		b = append(b, "{,"[min(len(b)-start, 1)])
		b = append(b, key...)
		b = appendJSONString(b, group)
	}
	if len(b) == start {
		return append(b, "null"...)
	}
	return append(b, '}')
}

// The longest IS and DS in bytes (PS3.5 §6.2).
const (
	maxIntegerString = 12
	maxDecimalString = 16
)

// appendJSONNumber appends IS or DS as a number if it is one, and as a string if not.
func appendJSONNumber(b, text []byte, vr VR) []byte {
	start := len(b)
	limit := maxDecimalString
	if vr == dict.IS {
		limit = maxIntegerString
	}
	if len(text) <= limit {
		if b = appendNumber(b, text, vr); len(b) > start {
			return b
		}
	}
	return appendJSONString(b, text)
}

// appendNumber appends a number in the grammar of JSON: no plus sign, no leading
// zeroes, digits on both sides of the point. It appends nothing when text is none.
func appendNumber(b, text []byte, vr VR) []byte {
	start := len(b)
	text, negative := cutSign(text)
	if negative {
		b = append(b, '-')
	}
	whole, text := cutDigits(text)
	fraction, point := []byte(nil), false
	if vr == dict.DS && len(text) > 0 && text[0] == '.' {
		point = true
		fraction, text = cutDigits(text[1:])
	}
	if len(whole) == 0 && len(fraction) == 0 {
		return b[:start]
	}
	whole = bytes.TrimLeft(whole, "0")
	if len(whole) == 0 {
		whole = []byte("0")
		if vr == dict.IS {
			b = b[:start] // there is no -0
		}
	}
	b = append(b, whole...)
	if point && len(fraction) > 0 {
		b = append(append(b, '.'), fraction...)
	}
	if len(text) == 0 {
		return b
	}
	if vr != dict.DS || text[0] != 'e' && text[0] != 'E' {
		return b[:start]
	}
	return appendExponent(b, start, text[1:])
}

// appendExponent appends the exponent of the number that begins at start, or takes the
// number away when there is none or no float64 is that large.
func appendExponent(b []byte, start int, text []byte) []byte {
	text, negative := cutSign(text)
	digits, rest := cutDigits(text)
	if len(digits) == 0 || len(rest) > 0 {
		return b[:start]
	}
	b = append(b, 'e')
	if negative {
		b = append(b, '-')
	}
	b = append(b, digits...)
	if _, err := strconv.ParseFloat(string(b[start:]), 64); err != nil {
		return b[:start]
	}
	return b
}

func cutSign(text []byte) (rest []byte, negative bool) {
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		return text[1:], text[0] == '-'
	}
	return text, false
}

func cutDigits(text []byte) (digits, rest []byte) {
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	return text[:i], text[i:]
}

// trimBytes is trimText for bytes.
func trimBytes(text []byte, vr VR) []byte {
	for len(text) > 0 && (text[len(text)-1] == ' ' || text[len(text)-1] == 0) {
		text = text[:len(text)-1]
	}
	if !leadingSpacesCount(vr) {
		for len(text) > 0 && text[0] == ' ' {
			text = text[1:]
		}
	}
	return text
}

// escaped tells which bytes a JSON string cannot have as they are (RFC 8259 §7).
var escaped = [256]bool{
	0: true, 1: true, 2: true, 3: true, 4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 10: true,
	11: true, 12: true, 13: true, 14: true, 15: true, 16: true, 17: true, 18: true, 19: true, 20: true, 21: true,
	22: true, 23: true, 24: true, 25: true, 26: true, 27: true, 28: true, 29: true, 30: true, 31: true,
	'"': true, '\\': true,
}

// appendJSONString appends a string that is valid UTF-8.
func appendJSONString(b, text []byte) []byte {
	b = append(b, '"')
	done := 0
	for i, c := range text {
		if !escaped[c] {
			continue
		}
		b = append(b, text[done:i]...)
		done = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, `\u00`...)
			b = append(b, '0'+c>>4, "0123456789abcdef"[c&0xF])
		}
	}
	b = append(b, text[done:]...)
	return append(b, '"')
}
