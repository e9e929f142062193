package store

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"orrery/engine/job"
)

// This file holds the rows' encoding equal to that of encoding/json.

// standard is the measure.
func standard(t *testing.T, v any) (string, error) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

var samples = []string{"", "a", "plain text", `quo"ted \ back`, "<&>", "Приём\u2028\n", "bad \xff utf", "\x7f\x1f"}

var numbers = []float64{0, 1, -1.5, 1e-7, -2.5e-9, 1e20, 1e21, 1.25e300, math.MaxInt32, 0.1}

var raws = []string{`null`, `{}`, `{"a":[1,2,{"b":"x y"}]}`, ` { "a" : 1 } `, `"Ä<>"`, `[1, 2]`, `""`, `{"q":"\" ,"}`}

// fill sets every field of v by chance; full sets all of them.
func fill(r *rand.Rand, v reflect.Value, full bool) {
	if !full && r.IntN(3) == 0 {
		return
	}
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.UnixMilli(r.Int64N(4e12)).UTC()))
		return
	case json.RawMessage:
		v.SetBytes([]byte(raws[r.IntN(len(raws))]))
		return
	case job.Time:
		v.Field(0).Set(reflect.ValueOf(time.UnixMilli(r.Int64N(4e12)).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		if v.SetString(samples[r.IntN(len(samples))]); full {
			v.SetString("full")
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(1 + r.Int64N(1e9))
	case reflect.Float64:
		v.SetFloat(numbers[1+r.IntN(len(numbers)-1)])
	case reflect.Interface:
		v.Set(reflect.ValueOf(map[string]any{"why": samples[r.IntN(len(samples))], "n": 2.5}))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem(), full)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i), full)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(r, v.Index(i), full)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for _, s := range samples[:3+r.IntN(4)] {
			value := reflect.New(v.Type().Elem()).Elem()
			fill(r, value, full)
			v.SetMapIndex(reflect.ValueOf(s), value)
		}
	default:
		panic("a field of kind " + v.Kind().String() + " came into the rows: fill it here and write it in rows.go")
	}
}

func TestRowsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 3000 {
		rows := []any{new(job.Job), new(job.Task), new(job.Record)}
		for _, row := range rows {
			fill(r, reflect.ValueOf(row).Elem(), n == 0)
		}
		rows = append(rows, []job.Record{*rows[2].(*job.Record), {}})
		for _, row := range rows {
			got, err := Encode(row)
			want, wantErr := standard(t, row)
			if (err == nil) != (wantErr == nil) || err == nil && got != want {
				t.Fatalf("row %d, %T:\n got %s (%v)\nwant %s (%v)", n, row, got, err, want, wantErr)
			}
		}
	}
}

func TestRowsThatJSONCanNotHoldAreRefused(t *testing.T) {
	for name, row := range map[string]any{
		"not a number":   &job.Task{Timeout: math.NaN(), Params: json.RawMessage("{}")},
		"endless":        &job.Record{Duration: math.Inf(1)},
		"broken text":    &job.Task{Params: json.RawMessage(`{"a":`)},
		"broken value":   &job.Record{Set: map[string]json.RawMessage{"k": json.RawMessage(`{`)}},
		"far future":     &job.Job{CreatedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
		"broken details": &job.Job{Error: &job.Error{Details: func() {}}},
	} {
		if got, err := Encode(row); err == nil {
			t.Errorf("%s is written as %s", name, got)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	r := rand.New(rand.NewPCG(3, 4))
	j, k := new(job.Job), new(job.Task)
	fill(r, reflect.ValueOf(j).Elem(), true)
	fill(r, reflect.ValueOf(k).Elem(), true)
	b.Run("rows", func(b *testing.B) {
		for b.Loop() {
			if _, err := Encode(j); err != nil {
				b.Fatal(err)
			}
			if _, err := Encode(k); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		for b.Loop() {
			if _, err := json.Marshal(j); err != nil {
				b.Fatal(err)
			}
			if _, err := json.Marshal(k); err != nil {
				b.Fatal(err)
			}
		}
	})
}
