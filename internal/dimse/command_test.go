package dimse

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"pharos/internal/dicom/dict"
)

// golden are command sets byte by byte, as PS3.7 §6.3.1 and §9.3 lay them out.
var golden = []struct {
	name    string
	command Command
	bytes   string
}{
	{"C-ECHO-RQ", Command{Field: CEchoRQ, MessageID: 1, SOPClass: dict.Verification}, `
		0000 0000 04000000 38000000
		0000 0200 12000000 312e322e3834302e31303030382e312e3100
		0000 0001 02000000 3000
		0000 1001 02000000 0100
		0000 0008 02000000 0101`},
	{"C-STORE-RQ of a C-MOVE", Command{
		Field: CStoreRQ, MessageID: 7, SOPClass: "1.2", SOPInstance: "1.2.3.4", Priority: High, DataSet: true,
		MoveOriginator: "ASKER", MoveOriginatorID: 258,
	}, `
		0000 0000 04000000 5c000000
		0000 0200 04000000 312e3200
		0000 0001 02000000 0100
		0000 1001 02000000 0700
		0000 0007 02000000 0100
		0000 0008 02000000 0100
		0000 0010 08000000 312e322e332e3400
		0000 3010 06000000 41534b455220
		0000 3110 02000000 0201`},
	{"C-MOVE-RSP pending", Command{
		Field: CMoveRSP, MessageID: 3, SOPClass: "1.2", Status: PendingStatus,
		Counts: &Counts{Remaining: 4, Completed: 3, Failed: 2, Warning: 1},
	}, `
		0000 0000 04000000 5c000000
		0000 0200 04000000 312e3200
		0000 0001 02000000 2180
		0000 2001 02000000 0300
		0000 0008 02000000 0101
		0000 0009 02000000 00ff
		0000 2010 02000000 0400
		0000 2110 02000000 0300
		0000 2210 02000000 0200
		0000 2310 02000000 0100`},
	{"C-CANCEL-RQ", Command{Field: CCancelRQ, MessageID: 9}, `
		0000 0000 04000000 1e000000
		0000 0001 02000000 ff0f
		0000 2001 02000000 0900
		0000 0008 02000000 0101`},
	{"C-FIND-RSP failed", Command{
		Field: CFindRSP, MessageID: 2, SOPClass: "1.2", Status: IdentifierMismatch,
		ErrorComment: "bad key", OffendingElements: []dict.Tag{dict.StudyDate},
	}, `
		0000 0000 04000000 50000000
		0000 0200 04000000 312e3200
		0000 0001 02000000 2080
		0000 2001 02000000 0200
		0000 0008 02000000 0101
		0000 0009 02000000 00a9
		0000 0109 04000000 08002000
		0000 0209 08000000 626164206b657920`},
	{"N-ACTION-RQ", Command{Field: NActionRQ, MessageID: 5, SOPClass: "1.2", SOPInstance: "1.3", ActionType: 1, DataSet: true}, `
		0000 0000 04000000 40000000
		0000 0300 04000000 312e3200
		0000 0001 02000000 3001
		0000 1001 02000000 0500
		0000 0008 02000000 0100
		0000 0110 04000000 312e3300
		0000 0810 02000000 0100`},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCommandSetsAreEncodedAsPS37Says(t *testing.T) {
	for _, g := range golden {
		want := unhex(t, g.bytes)
		if got := g.command.append(nil); !bytes.Equal(got, want) {
			t.Errorf("%s:\n got %x\nwant %x", g.name, got, want)
		}
		if got, err := decodeCommand(want); err != nil || !reflect.DeepEqual(got, g.command) {
			t.Errorf("%s decoded: %+v, %v", g.name, got, err)
		}
	}
}

func TestMalformedCommandSetsAreRefused(t *testing.T) {
	for name, s := range map[string]string{
		"empty":                "",
		"header cut short":     "0000 0001 0200",
		"value cut short":      "0000 0001 04000000 3000",
		"length of 4 GiB":      "0000 0001 f0ffffff 3000",
		"group 0008":           "0800 0500 00000000",
		"no command field":     "0000 1001 02000000 0100",
		"field of one byte":    "0000 0001 01000000 30",
		"empty data set type":  "0000 0001 02000000 3000 0000 0008 00000000",
		"trailing odd garbage": "0000 0001 02000000 3000 00",
	} {
		if c, err := decodeCommand(unhex(t, s)); !errors.Is(err, ErrCommand) {
			t.Errorf("%s: %+v, %v", name, c, err)
		}
	}
}

func TestUnknownCommandElementsAreSkipped(t *testing.T) {
	c, err := decodeCommand(unhex(t, "0000 0001 02000000 3000 0000 1051 04000000 01020304"))
	if err != nil || c.Field != CEchoRQ {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzCommand(f *testing.F) {
	for _, g := range golden {
		f.Add(g.command.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCommand(b)
		if err != nil {
			if !errors.Is(err, ErrCommand) {
				t.Fatalf("error of another kind: %v", err)
			}
			return
		}
		once := c.append(nil)
		d, err := decodeCommand(once)
		if err != nil {
			t.Fatalf("own encoding is refused: %v", err)
		}
		if twice := d.append(nil); !bytes.Equal(once, twice) {
			t.Fatalf("encoding changes:\n%x\n%x", once, twice)
		}
	})
}
