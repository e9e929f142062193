package config

import (
	"os"
	"strings"
	"testing"
)

// This file tests that every limit can be set in each way, and that the README lists it.

func TestEveryLimitCanBeSet(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range limitRows() {
		name := limitPrefix + strings.ToUpper(f.Key)
		usual := defaultLimits()
		was := f.Get(&usual)
		triple := limitText(was * 3)
		in(t, map[string]string{DefaultFile: "[limits]\n" + f.Key + " = " + triple + "\n"})
		if c := load(t, Source{}); f.Get(&c.Limits) != was*3 {
			t.Errorf("%s = %s in the file gives %v", f.Key, triple, f.Get(&c.Limits))
		}
		double := limitText(was * 2)
		c := load(t, Source{Environ: []string{name + "=" + double}})
		if f.Get(&c.Limits) != was*2 || !strings.Contains(c.String(), name+"="+double+"\n") {
			t.Errorf("%s=%s over the file gives %v", name, double, f.Get(&c.Limits))
		}
		env, err := EnvLimits(func(n string) (string, bool) { return double, n == name })
		if err != nil || f.Get(&env) != was*2 {
			t.Errorf("%s without a server: %v, %v", name, f.Get(&env), err)
		}
		for _, bad := range []string{"0", "-1", "many", "NaN", "1e13"} {
			if faults := faultsOf(t, Source{Environ: []string{name + "=" + bad}}); len(faults) != 1 || faults[0].Name != name {
				t.Errorf("%s=%s: %v", name, bad, faults)
			}
		}
		if !strings.Contains(string(readme), "| `"+f.Key+"` | "+limitText(was)+" |") {
			t.Errorf("README.md has no row for the limit %s with its default %s", f.Key, limitText(was))
		}
	}
}

func TestUnknownLimits(t *testing.T) {
	in(t, map[string]string{DefaultFile: "[limits]\nmemory = 3\n"})
	text := faultsOf(t, Source{Environ: []string{"ORRERY_LIMIT_MEMORY=3"}}).Error()
	for _, want := range []string{"orrery.toml:2", `"limits.memory"`, "ORRERY_LIMIT_MEMORY: is no limit"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
	if _, err := EnvLimits(func(n string) (string, bool) { return "x", n == "ORRERY_LIMIT_DEPTH" }); err == nil || !strings.Contains(err.Error(), "ORRERY_LIMIT_DEPTH") {
		t.Errorf("a bad limit without a server: %v", err)
	}
}
