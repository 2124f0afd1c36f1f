package local

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"pharos/internal/blob"
	"pharos/internal/dicom"
	"pharos/internal/index"
)

// sampleReceipt is of version 1. It must decode for ever: docs/format/receipt.md.
const sampleReceipt = "" +
	"fcfffcff" + "4f420000" + "54000000" + // (FFFC,FFFC) OB, 84 bytes
	"50485243" + "01" + // magic, version
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" + // digest
	"78563412" + // checksum of the head
	"40f34cf65e470600" + // 2026-01-02T03:04:05Z
	"10270000" + "00000000" + // 10,000 bytes
	"086e6f64653a637431" + // source "node:ct1"
	"05616c62756d" + // album "album"; no padding needed
	"08a88676" + "60000000" + "50485243" // CRC-32C, 96 bytes in all, magic

func TestReceiptSample(t *testing.T) {
	e := index.Entry{
		TransferSyntax: dicom.ExplicitVRLittleEndian, Size: 10_000, Source: "node:ct1", Album: "album",
		Received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
	for i := range e.Digest {
		e.Digest[i] = byte(i)
	}
	sealed := sealReceipt(&e, 0x12345678)
	if got := hex.EncodeToString(sealed); got != sampleReceipt {
		t.Fatalf("sealed\n%s, want\n%s", got, sampleReceipt)
	}
	r, err := openReceipt(sealed, 10_000+int64(len(sealed)))
	if err != nil {
		t.Fatal(err)
	}
	if r.digest != e.Digest || r.head != 0x12345678 || r.size != e.Size || r.source != e.Source || r.album != e.Album || !r.received.Equal(e.Received) {
		t.Fatalf("%+v", r)
	}
}

func TestReceiptIsAnElementInEverySyntax(t *testing.T) {
	for _, ts := range []dicom.UID{
		dicom.ImplicitVRLittleEndian, dicom.ExplicitVRLittleEndian, dicom.ExplicitVRBigEndian, dicom.DeflatedExplicitVRLittleEndian,
	} {
		e := index.Entry{TransferSyntax: ts, Size: 12}
		sealed := sealReceipt(&e, 0)
		if _, err := openReceipt(append(make([]byte, 12), sealed...), 12+int64(len(sealed))); err != nil {
			t.Fatalf("%s: %v", ts, err)
		}
		if dicom.SyntaxOf(ts).Deflated {
			continue
		}
		d, err := dicom.ReadDataset(bytes.NewReader(sealed), ts, dicom.Limits{})
		if err != nil || d.Len() > 1 {
			t.Fatalf("%s: %d elements, %v", ts, d.Len(), err)
		}
	}
}

func FuzzReceipt(f *testing.F) {
	e := index.Entry{TransferSyntax: dicom.ExplicitVRLittleEndian, Source: "x"}
	f.Add(sealReceipt(&e, 0), int64(100))
	f.Add([]byte("PHRC"), int64(4))
	f.Fuzz(func(t *testing.T, tail []byte, size int64) {
		r, err := openReceipt(tail, size)
		if err != nil {
			if !errors.Is(err, errNoReceipt) && !errors.Is(err, blob.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if r.size >= size || len(r.source) > maxNote || len(r.album) > maxNote {
			t.Fatalf("%+v of a blob of %d bytes", r, size)
		}
	})
}
