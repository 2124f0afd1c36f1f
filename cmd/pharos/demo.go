package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"

	"pharos/internal/access"
	"pharos/internal/archive"
	"pharos/internal/dicom"
	"pharos/internal/dicom/dicomtest"
	"pharos/internal/identity"
)

const demoName = "demo"

// demoNode lets every DICOM program on this machine call.
var demoNode = identity.Node{
	Name: "this-machine",
	From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	May:  access.Store | access.Find | access.Retrieve,
}

// prepareDemo loads the synthetic studies and makes the demo account, once. Which of
// them exists already is left as it is.
func prepareDemo(ctx context.Context, c *Config, a archive.Archive, accounts identity.Store, log *slog.Logger) error {
	_, err := accounts.User(ctx, demoName)
	switch {
	case err == nil:
		log.InfoContext(ctx, "demonstration data is there already")
		return nil
	case !errors.Is(err, identity.ErrUnknown):
		return err
	}
	n, err := loadDemo(ctx, a)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	log.InfoContext(ctx, "demonstration data loaded", slog.Int("instances", n))
	// The account comes last, since it tells that the data is complete. Its password is
	// no secret as long as nobody else can get here.
	password := demoName
	if !c.loopbackOnly() {
		password = identity.NewPassword()
	}
	if err := addAccount(ctx, accounts, demoName, password, access.Everything&^access.Administer); err != nil {
		return err
	}
	return showDemo(os.Stderr, c, password)
}

// showDemo says what to try. It goes to whoever started the program, and not to the
// log, since it holds a password; without a terminal only if the password is no secret.
func showDemo(to *os.File, c *Config, password string) error {
	if password != demoName && !onTerminal(to) {
		return writePrivate(dataDir(c.Data).file("demo-password"), password+"\n")
	}
	url := c.publicURL()
	if url == "" {
		url = "http://127.0.0.1:8080"
	}
	_, err := fmt.Fprintf(to, `
The demonstration is ready, with synthetic patients only.

    DICOMweb  %[1]s/dicom-web
    user      %[2]s
    password  %[3]s
    DICOM     %[4]s at %[5]s

Try:

    curl -u %[2]s:%[3]s '%[1]s/dicom-web/studies?includefield=all'
    curl -u %[2]s:%[3]s '%[1]s/dicom-web/studies?ModalitiesInStudy=CT'
    findscu -S -aec %[4]s -k QueryRetrieveLevel=STUDY -k PatientName -k StudyInstanceUID %[6]s

`, url, demoName, password, c.AET, c.DICOM, hostAndPort(c.DICOM))
	return err
}

// hostAndPort separates them by a space, as DCMTK's tools want them.
func hostAndPort(addr string) string {
	p, err := netip.ParseAddrPort(addr)
	if err != nil {
		return "127.0.0.1 11112"
	}
	return fmt.Sprintf("%s %d", p.Addr(), p.Port())
}

// loadDemo stores the synthetic studies by the way that every instance takes.
func loadDemo(ctx context.Context, a archive.Archive) (int, error) {
	n := 0
	for _, d := range demoInstances() {
		if err := storeDataset(ctx, a, d); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func storeDataset(ctx context.Context, a archive.Archive, d *dicom.Dataset) error {
	r, w := io.Pipe()
	defer func() { _ = r.Close() }() // so that the writer ends if nobody reads on
	go func() { _ = w.CloseWithError(dicomtest.WriteTo(w, d, dicom.ExplicitVRLittleEndian, nil)) }()
	in, err := archive.ReadIncoming(r)
	if err != nil {
		return err
	}
	in.Source = "demo"
	_, err = a.Store(ctx, in, "")
	return err
}

// demoInstances are a few studies of several patients, of the kinds that differ most.
func demoInstances() []*dicom.Dataset {
	type make func(...dicomtest.Option) *dicom.Dataset
	var all []*dicom.Dataset
	patients := dicomtest.Patients()
	add := func(patient int, study, date string, kind make, series, instances int, more ...dicomtest.Option) {
		for i := range instances {
			options := append([]dicomtest.Option{
				dicomtest.WithPatient(patients[patient%len(patients)]), dicomtest.WithStudy(study),
				dicomtest.WithDate(date), dicomtest.WithSeries(series), dicomtest.WithInstance(i + 1),
			}, more...)
			all = append(all, kind(options...))
		}
	}
	add(0, "CT thorax", "20260105", dicomtest.CT, 1, 24, dicomtest.WithSize(256, 256))
	add(0, "CT thorax", "20260105", dicomtest.SR, 2, 1)
	add(0, "CR thorax", "20251212", dicomtest.CR, 1, 2)
	add(1, "MR brain", "20260210", dicomtest.MR, 1, 20, dicomtest.WithSize(256, 256))
	add(1, "MR brain", "20260210", dicomtest.MR, 2, 20, dicomtest.WithSize(256, 256))
	add(2, "US heart", "20260301", dicomtest.US, 1, 2, dicomtest.WithFrames(20))
	add(3, "CT abdomen", "20260115", dicomtest.EnhancedCT, 1, 1, dicomtest.WithFrames(16))
	add(3, "CR hand", "20240607", dicomtest.CR, 1, 1)
	return all
}
