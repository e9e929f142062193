package border

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.starlark.net/starlark"

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

// crowdedObject makes an object whose keys all fall into one cell.
func crowdedObject(n int) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := 0; n > 0; i++ {
		key := fmt.Sprintf("k%d", i)
		if h, err := starlark.String(key).Hash(); err != nil || h%4096 != 7 {
			continue
		}
		fmt.Fprintf(&b, "%q:1,", key)
		n--
	}
	return b.String() + `"z":1}`
}
