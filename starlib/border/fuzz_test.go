package border

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"orrery/starlib/guard"
)

// This file fuzzes the border, and gives it JSON that was made to be slow or large.

func FuzzWithin(f *testing.F) {
	for _, text := range []string{
		`{}`, `[1,2.0,-3e5,"a\u00e9\ud83d\ude00\n",null,true,{"k":[]}]`, `"\ud800"`, `1e999`, `99999999999999999999`, `{"a":1,"a":2}`, `[[[[`, `"`, `{"a"`, `-`, `01`, `nul`, "\"\x00\"", "[\"\xff\"]", ` 1 `,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := DecodeWithin(guard.NewAccount(guard.Limits{}), text, "x")
		var fault *Fault
		var limit *guard.LimitError
		if err != nil {
			if !errors.As(err, &fault) && !errors.As(err, &limit) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		once, err := Encode(v, "x", 0)
		if err != nil {
			t.Fatalf("%q was read, but cannot be written: %v", text, err)
		}
		again, err := Decode(once, "x")
		if err != nil {
			t.Fatalf("%q became %q, which cannot be read: %v", text, once, err)
		}
		twice, err := Encode(again, "x", 0)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q became %q and then %q (%v)", text, once, twice, err)
		}
	})
}

func TestHostileJSON(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want string
	}{
		"deep":    {strings.Repeat("[", 1_000_000), "nested more than 100 deep"},
		"objects": {"[" + strings.Repeat("{},", 350_000) + "{}]", "a run creates at most 64 MiB"},
		"keys":    {crowdedObject(2_000), "have the same hash"},
		"digits":  {strings.Repeat("9", 4_000_000), "does not fit in 64 bits"},
		"minus":   {strings.Repeat("-", 1_000_000), "is not JSON"},
	} {
		_, err := DecodeWithin(guard.NewAccount(guard.Limits{}), []byte(c.text), "x")
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 500 {
			t.Errorf("%s: %.300v", name, err)
		}
	}
}

// crowdedObject makes an object whose keys all fall into one cell. The hash of short texts is
// FNV-1a, whose lowest bits depend on the lowest bits before alone: given the text and one
// more letter, the last letter that leads into the cell can be reckoned.
func crowdedObject(n int) string {
	const low, prime, inverse, cell = 4095, 403, 1179, 7 // prime * inverse is 1 in twelve bits
	var b strings.Builder
	b.WriteByte('{')
	for i := 0; n > 0; i++ {
		head := fmt.Sprintf("k%d", i)
		h := uint32(2166136261)
		for _, c := range []byte(head) {
			h = (h ^ uint32(c)) * 16777619
		}
		for c := uint32('a'); c <= 'z'; c++ {
			last := (cell*inverse ^ (h^c)*prime) & low
			if last >= 'a' && last <= 'z' {
				fmt.Fprintf(&b, "\"%s%c%c\":1,", head, c, last)
				n--
			}
		}
	}
	return b.String() + `"z":1}`
}
