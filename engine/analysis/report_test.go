package analysis

import (
	"strings"
	"testing"
)

// This file tests how findings of long lines are shown.

func TestLongLinesAreShownInPart(t *testing.T) {
	line := strings.Repeat("ä", 5000) + "bad" + strings.Repeat("x", 1<<20)
	var b strings.Builder
	if err := Text(&b, []Finding{{File: "f", Line: 1, Col: 5001, EndCol: 5004, Source: line}, {File: "f", Line: 1, Col: 1, Source: line}}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(b.String()) > 4000 || len(lines) < 6 {
		t.Fatalf("%d bytes in %d lines", b.Len(), len(lines))
	}
	at := strings.Index(lines[2], "^")
	if got := string([]rune(lines[1])[at : at+3]); got != "bad" || !strings.HasSuffix(lines[2], "^~~") {
		t.Errorf("the mark stands below %q: %s", got, lines[2])
	}
	if lines[5] != "    ^" || !strings.HasPrefix(lines[4], "    ää") {
		t.Errorf("the second: %.20s, %s", lines[4], lines[5])
	}
}
