package cli

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// This file tests which pages of the program are let go of when nothing is done.

func TestPagesOfTheProgram(t *testing.T) {
	const smaps = `00400000-01e2e000 r-xp 00000000 fe:00 10240089                           /opt/my tools/orrery
Size:              26808 kB
Anonymous:             0 kB
VmFlags: rd ex mr mw me
01e2e000-0377e000 r--p 01a2e000 fe:00 10240089                           /opt/my tools/orrery
Rss:               20336 kB
Anonymous:             4 kB
0377e000-03a6d000 rw-p 03374000 fe:00 10240089                           /opt/my tools/orrery
Anonymous:             0 kB
03a6d000-05bc3000 rw-p 00000000 00:00 0
Anonymous:             0 kB
05bc3000-05bc4000 r--p 03374000 fe:00 10240089                           /opt/my tools/orrery
Anonymous:             0 kB
7fa513320000-7fa513476000 r-xp 00000000 fe:00 10240089                   /usr/lib/libc.so.6
Anonymous:             0 kB
`
	got, err := programSpans(strings.NewReader(smaps), "/opt/my tools/orrery")
	if err != nil || len(got) != 2 || got[0] != (span{0x400000, 0x1e2e000}) || got[1] != (span{0x5bc3000, 0x5bc4000}) {
		t.Errorf("%x, %v; want the code and the last piece: the others are changed, writable or another's", got, err)
	}
}

func TestTheProgramGoesOnWithoutItsPages(t *testing.T) {
	spans, err := ownSpans()
	if err != nil || len(spans) == 0 {
		t.Fatalf("found %v, %v", spans, err)
	}
	before := fileBytes(t)
	if err := forgetProgram(); err != nil {
		t.Fatal(err)
	}
	// Reading this takes some of them again.
	if after := fileBytes(t); after >= before {
		t.Errorf("%d kB of files are mapped, before %d kB", after, before)
	}
}

// fileBytes gives how much is mapped of files, in kB.
func fileBytes(t *testing.T) (kB int) {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(status), "RssFile:")
	if !ok {
		t.Skip("this kernel does not say how much of files is mapped")
	}
	if kB, err = strconv.Atoi(strings.Fields(rest)[0]); err != nil {
		t.Fatal(err)
	}
	return kB
}
