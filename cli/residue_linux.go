package cli

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// This file lets go of the pages of the program itself that only its start needed. The kernel
// maps them in large pieces, 30 to 45 MB of code and tables of which a server at work uses a
// third. They stay in the page cache: what is wanted again is mapped again without reading.

// span is a part of the address space.
type span struct{ from, to uintptr }

// forgetProgram unmaps the program's pages.
func forgetProgram() error {
	spans, err := ownSpans()
	if err != nil {
		return err
	}
	for _, s := range spans {
		if _, _, code := syscall.Syscall(syscall.SYS_MADVISE, s.from, s.to-s.from, syscall.MADV_DONTNEED); code != 0 {
			return fmt.Errorf("unmap pages of the program: %w", code)
		}
	}
	return nil
}

// ownSpans finds what may be unmapped in this process.
func ownSpans() ([]span, error) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	maps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return nil, err
	}
	spans, err := programSpans(maps, self)
	if err = errors.Join(err, maps.Close()); err != nil {
		return nil, fmt.Errorf("read what is mapped: %w", err)
	}
	return spans, nil
}

// programSpans finds what is mapped of the program's file, read-only and unchanged: a page
// that a debugger or a probe has written into would come back without that.
func programSpans(smaps io.Reader, self string) ([]span, error) {
	var (
		spans []span
		at    span // mapping whose fields are read; none when empty
		lines = bufio.NewScanner(smaps)
	)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			continue
		}
		if !strings.HasSuffix(f[0], ":") { // the head of the next mapping
			at = span{}
			from, to, _ := strings.Cut(f[0], "-")
			if strings.HasSuffix(lines.Text(), " "+self) && (f[1] == "r-xp" || f[1] == "r--p") {
				a, errA := strconv.ParseUint(from, 16, 64)
				b, errB := strconv.ParseUint(to, 16, 64)
				if errA == nil && errB == nil && a < b {
					at = span{uintptr(a), uintptr(b)}
				}
			}
			continue
		}
		if at != (span{}) && f[0] == "Anonymous:" && f[1] == "0" {
			spans = append(spans, at)
		}
	}
	return spans, lines.Err()
}
