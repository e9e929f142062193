package store

import (
	"strings"
	"testing"

	"orrery/engine/job"
)

// This file tests how rows are written as text.

func TestEncodeKeepsWhatPeopleWrote(t *testing.T) {
	got, err := Encode(job.Record{N: 1, Detail: "<a> & é", Set: nil})
	if err != nil || !strings.Contains(got, `"detail":"<a> & é"`) || strings.HasSuffix(got, "\n") {
		t.Fatalf("encoded as %q (%v)", got, err)
	}
	var back job.Record
	if err := Decode(Format, got, &back); err != nil || back.Detail != "<a> & é" {
		t.Fatalf("decoded as %+v (%v)", back, err)
	}
}

func TestDecodeTakesTwoFormats(t *testing.T) {
	var r job.Record
	for format, ok := range map[int64]bool{Format - 2: false, Format - 1: true, Format: true, Format + 1: false} {
		if err := Decode(format, "{}", &r); (err == nil) != ok {
			t.Errorf("format %d gives %v", format, err)
		}
	}
	if err := Decode(Format, "{", &r); err == nil || !strings.Contains(err.Error(), "job.Record") {
		t.Errorf("broken text gives %v", err)
	}
}
