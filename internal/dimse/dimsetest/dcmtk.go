package dimsetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// StoreSCP starts DCMTK's storescp, which keeps what it receives bit by bit as files in
// Peer.Dir. More arguments, for TLS or the transfer syntaxes it takes, may be given.
func StoreSCP(t testing.TB, aet string, args ...string) *Peer {
	t.Helper()
	p := &Peer{AETitle: aet, Port: FreePort(t), Dir: t.TempDir(), log: &output{}}
	args = append([]string{"-v", "-aet", aet, "-od", p.Dir, "+B"}, args...)
	start(t, p.Dir, p.log, []int{p.Port}, "storescp", append(args, strconv.Itoa(p.Port))...)
	return p
}

// Files are the files that a peer has received, in the order of their names.
func (p *Peer) Files(t testing.TB) []string {
	t.Helper()
	var files []string
	entries, err := os.ReadDir(p.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasSuffix(e.Name(), ".cfg") && e.Name() != "index.dat" {
			files = append(files, filepath.Join(p.Dir, e.Name()))
		}
	}
	return files
}

// QueryRetrieveSCP starts DCMTK's dcmqrscp, an archive of its own that knows the given
// nodes as destinations of C-MOVE.
func QueryRetrieveSCP(t testing.TB, aet string, known map[string]int, args ...string) *Peer {
	t.Helper()
	p := &Peer{AETitle: aet, Port: FreePort(t), Dir: t.TempDir(), log: &output{}}
	store := filepath.Join(p.Dir, "db")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	var hosts strings.Builder
	for title, port := range known {
		name := "n" + strconv.Itoa(port)
		fmt.Fprintf(&hosts, "%s = (%s, 127.0.0.1, %d)\n", name, title, port)
	}
	config := fmt.Sprintf(`NetworkTCPPort = %d
MaxPDUSize = 131072
MaxAssociations = 16
HostTable BEGIN
%sHostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
%s %s RW (200, 1024mb) ANY
AETable END
`, p.Port, hosts.String(), aet, store)
	file := filepath.Join(p.Dir, "dcmqrscp.cfg")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, p.Dir, p.log, []int{p.Port}, "dcmqrscp", append([]string{"-v", "-c", file}, args...)...)
	return p
}
