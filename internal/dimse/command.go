package dimse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"pharos/internal/dicom"
	"pharos/internal/dicom/dict"
)

// ErrCommand says that a command set breaks PS3.7 §6.3.1, so that the message can't
// be answered.
var ErrCommand = errors.New("malformed command set")

// Field is the Command Field (0000,0100), which says what a message is (PS3.7 §E.1).
type Field uint16

// The command fields of PS3.7 §E.1. A response has the high bit set.
const (
	CStoreRQ       Field = 0x0001
	CStoreRSP      Field = 0x8001
	CGetRQ         Field = 0x0010
	CGetRSP        Field = 0x8010
	CFindRQ        Field = 0x0020
	CFindRSP       Field = 0x8020
	CMoveRQ        Field = 0x0021
	CMoveRSP       Field = 0x8021
	CEchoRQ        Field = 0x0030
	CEchoRSP       Field = 0x8030
	NEventReportRQ Field = 0x0100
	NEventReportRP Field = 0x8100
	NActionRQ      Field = 0x0130
	NActionRSP     Field = 0x8130
	CCancelRQ      Field = 0x0FFF

	responseBit Field = 0x8000
)

// Response reports whether the message answers another.
func (f Field) Response() bool { return f&responseBit != 0 }

// refersBack reports whether the message has a Message ID Being Responded To
// instead of a Message ID of its own.
func (f Field) refersBack() bool { return f.Response() || f == CCancelRQ }

// Priority is the Priority (0000,0700) of a C-STORE, C-FIND, C-GET or C-MOVE request.
type Priority uint16

// The priorities of PS3.7 §E.1. Pharos does everything at once and sends Medium.
const (
	Medium Priority = 0x0000
	High   Priority = 0x0001
	Low    Priority = 0x0002
)

// Values of Command Data Set Type (0000,0800), PS3.7 §E.1: any but noDataSet says
// that a data set follows.
const (
	noDataSet   = 0x0101
	withDataSet = 0x0001
)

// Command is a command set of PS3.7 §9.3 and §10.3. Which fields count follows from
// Field; those that are empty are left out of the encoding.
type Command struct {
	Field     Field
	MessageID uint16 // of a request itself; of a response and of C-CANCEL, the request it means
	Priority  Priority
	DataSet   bool   // a data set follows
	Status    Status // of a response

	// SOPClass is Affected SOP Class UID; in a request of N-ACTION it is
	// Requested SOP Class UID, which means the same. So it is with SOPInstance.
	SOPClass    dicom.UID
	SOPInstance dicom.UID

	MoveDestination string // of C-MOVE-RQ

	// MoveOriginator and MoveOriginatorID are in a C-STORE-RQ that is a sub-operation
	// of a C-MOVE: the AE title that asked for it and its Message ID.
	MoveOriginator   string
	MoveOriginatorID uint16

	EventType  uint16 // of N-EVENT-REPORT
	ActionType uint16 // of N-ACTION

	Counts *Counts // of the sub-operations, in responses of C-GET and C-MOVE

	ErrorComment      string // at most 64 characters
	OffendingElements []dicom.Tag
}

// Counts are the numbers of sub-operations of a C-GET or C-MOVE (PS3.7 §9.1.3.1).
type Counts struct {
	Remaining, Completed, Failed, Warning uint16
}

// requested reports whether the SOP class and instance of the message are the
// "Requested" ones (PS3.7 §10.3.5).
func (c *Command) requested() bool { return c.Field == NActionRQ }

// prioritized reports whether the message has a Priority (PS3.7 §9.3).
func (c *Command) prioritized() bool {
	switch c.Field {
	case CStoreRQ, CFindRQ, CGetRQ, CMoveRQ:
		return true
	}
	return false
}

// append encodes the command set in implicit VR little endian, in ascending order of
// tags and led by its group length, as PS3.7 §6.3.1 demands.
func (c *Command) append(b []byte) []byte {
	start := len(b)
	b = appendHeader(b, dict.CommandGroupLength, 4)
	b = append(b, 0, 0, 0, 0)
	body := len(b)
	if !c.requested() {
		b = appendString(b, dict.AffectedSOPClassUID, string(c.SOPClass), 0)
	} else {
		b = appendString(b, dict.RequestedSOPClassUID, string(c.SOPClass), 0)
	}
	b = appendUS(b, dict.CommandField, uint16(c.Field))
	if c.Field.refersBack() {
		b = appendUS(b, dict.MessageIDBeingRespondedTo, c.MessageID)
	} else {
		b = appendUS(b, dict.MessageID, c.MessageID)
	}
	b = appendString(b, dict.MoveDestination, c.MoveDestination, ' ')
	if c.prioritized() {
		b = appendUS(b, dict.Priority, uint16(c.Priority))
	}
	b = appendUS(b, dict.CommandDataSetType, dataSetType(c.DataSet))
	if c.Field.Response() {
		b = c.appendStatus(b)
	}
	if !c.requested() {
		b = appendString(b, dict.AffectedSOPInstanceUID, string(c.SOPInstance), 0)
	} else {
		b = appendString(b, dict.RequestedSOPInstanceUID, string(c.SOPInstance), 0)
	}
	b = c.appendTail(b)
	binary.LittleEndian.PutUint32(b[start+8:], uint32(len(b)-body))
	return b
}

func dataSetType(follows bool) uint16 {
	if follows {
		return withDataSet
	}
	return noDataSet
}

func (c *Command) appendStatus(b []byte) []byte {
	b = appendUS(b, dict.Status, uint16(c.Status))
	if len(c.OffendingElements) > 0 {
		b = appendHeader(b, dict.OffendingElement, 4*len(c.OffendingElements))
		for _, t := range c.OffendingElements {
			b = appendTag(b, t)
		}
	}
	return appendString(b, dict.ErrorComment, c.ErrorComment, ' ')
}

// appendTail encodes what comes after Affected SOP Instance UID.
func (c *Command) appendTail(b []byte) []byte {
	switch c.Field {
	case NEventReportRQ, NEventReportRP:
		b = appendUS(b, dict.EventTypeID, c.EventType)
	case NActionRQ, NActionRSP:
		b = appendUS(b, dict.ActionTypeID, c.ActionType)
	}
	if n := c.Counts; n != nil && c.Field.Response() {
		if c.Status.Pending() || c.Status == Cancelled {
			b = appendUS(b, dict.NumberOfRemainingSuboperations, n.Remaining)
		}
		b = appendUS(b, dict.NumberOfCompletedSuboperations, n.Completed)
		b = appendUS(b, dict.NumberOfFailedSuboperations, n.Failed)
		b = appendUS(b, dict.NumberOfWarningSuboperations, n.Warning)
	}
	if c.MoveOriginator != "" {
		b = appendString(b, dict.MoveOriginatorApplicationEntityTitle, c.MoveOriginator, ' ')
		b = appendUS(b, dict.MoveOriginatorMessageID, c.MoveOriginatorID)
	}
	return b
}

func appendTag(b []byte, t dicom.Tag) []byte {
	b = binary.LittleEndian.AppendUint16(b, t.Group())
	return binary.LittleEndian.AppendUint16(b, t.Element())
}

func appendHeader(b []byte, t dicom.Tag, length int) []byte {
	return binary.LittleEndian.AppendUint32(appendTag(b, t), uint32(length))
}

func appendUS(b []byte, t dicom.Tag, v uint16) []byte {
	return binary.LittleEndian.AppendUint16(appendHeader(b, t, 2), v)
}

// appendString appends an element padded to even length, unless it is empty.
func appendString(b []byte, t dicom.Tag, s string, pad byte) []byte {
	if s == "" {
		return b
	}
	b = append(appendHeader(b, t, (len(s)+1)&^1), s...)
	if len(s)%2 == 1 {
		b = append(b, pad)
	}
	return b
}

// decodeCommand understands a command set. The result does not refer to b. Elements
// that are not known are skipped; order, group length and padding are not insisted on.
// ErrCommand.
func decodeCommand(b []byte) (Command, error) {
	var c Command
	seen := false
	for len(b) > 0 {
		if len(b) < 8 {
			return Command{}, fmt.Errorf("%w: %d bytes left for an element", ErrCommand, len(b))
		}
		tag := dict.MakeTag(binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:]))
		n := binary.LittleEndian.Uint32(b[4:])
		b = b[8:]
		if tag.Group() != 0 || uint64(n) > uint64(len(b)) {
			return Command{}, fmt.Errorf("%w: element %v of %d bytes", ErrCommand, tag, n)
		}
		if err := c.decode(tag, b[:n]); err != nil {
			return Command{}, err
		}
		seen = seen || tag == dict.CommandField
		b = b[n:]
	}
	if !seen {
		return Command{}, fmt.Errorf("%w: no command field", ErrCommand)
	}
	return c, nil
}

func (c *Command) decode(tag dicom.Tag, v []byte) error {
	switch tag {
	case dict.AffectedSOPClassUID, dict.RequestedSOPClassUID:
		c.SOPClass = uidOf(v)
	case dict.AffectedSOPInstanceUID, dict.RequestedSOPInstanceUID:
		c.SOPInstance = uidOf(v)
	case dict.MoveDestination:
		c.MoveDestination = textOf(v)
	case dict.MoveOriginatorApplicationEntityTitle:
		c.MoveOriginator = textOf(v)
	case dict.ErrorComment:
		c.ErrorComment = textOf(v)
	case dict.OffendingElement:
		c.OffendingElements = tagsOf(v)
	default:
		return c.decodeNumber(tag, v)
	}
	return nil
}

func (c *Command) decodeNumber(tag dicom.Tag, v []byte) error {
	var to *uint16
	switch tag {
	case dict.CommandField:
		to = (*uint16)(&c.Field)
	case dict.MessageID, dict.MessageIDBeingRespondedTo:
		to = &c.MessageID
	case dict.Priority:
		to = (*uint16)(&c.Priority)
	case dict.Status:
		to = (*uint16)(&c.Status)
	case dict.EventTypeID:
		to = &c.EventType
	case dict.ActionTypeID:
		to = &c.ActionType
	case dict.MoveOriginatorMessageID:
		to = &c.MoveOriginatorID
	case dict.CommandDataSetType:
		if len(v) >= 2 {
			c.DataSet = binary.LittleEndian.Uint16(v) != noDataSet
			return nil
		}
	case dict.NumberOfRemainingSuboperations:
		to = &c.counts().Remaining
	case dict.NumberOfCompletedSuboperations:
		to = &c.counts().Completed
	case dict.NumberOfFailedSuboperations:
		to = &c.counts().Failed
	case dict.NumberOfWarningSuboperations:
		to = &c.counts().Warning
	default:
		return nil
	}
	if to == nil || len(v) < 2 {
		return fmt.Errorf("%w: element %v of %d bytes", ErrCommand, tag, len(v))
	}
	*to = binary.LittleEndian.Uint16(v)
	return nil
}

func (c *Command) counts() *Counts {
	if c.Counts == nil {
		c.Counts = &Counts{}
	}
	return c.Counts
}

// uidOf and textOf remove padding, of either kind since the field mixes them up.
func uidOf(v []byte) dicom.UID { return dicom.UID(strings.TrimRight(string(v), "\x00 ")) }
func textOf(v []byte) string   { return strings.Trim(string(v), "\x00 ") }

func tagsOf(v []byte) []dicom.Tag {
	var tags []dicom.Tag
	for ; len(v) >= 4; v = v[4:] {
		tags = append(tags, dict.MakeTag(binary.LittleEndian.Uint16(v), binary.LittleEndian.Uint16(v[2:])))
	}
	return tags
}
