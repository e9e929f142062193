package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

// This file tests what `orrery check` says about its rules, and about test files.

func TestCheckListsAndExplainsRules(t *testing.T) {
	got := orrery(t, "check", "--rules")
	if got.code != 0 || !strings.Contains(got.out, "unreachable-state") || strings.Count(got.out, "\n") < 40 {
		t.Errorf("--rules: %+v", got)
	}
	var rules []struct{ Name, Severity, Summary string }
	if err := json.Unmarshal([]byte(orrery(t, "check", "--rules", "--format", "json").out), &rules); err != nil || len(rules) < 40 || rules[0].Summary == "" {
		t.Errorf("--rules as JSON: %v, %d rules", err, len(rules))
	}
	got = orrery(t, "check", "--explain", "unreachable-state")
	for _, want := range []string{"# unreachable-state", "## Bad", "## Good", "## What it can not see", "orrery: ignore[unreachable-state]"} {
		if got.code != 0 || !strings.Contains(got.out, want) {
			t.Errorf("--explain lacks %q: %+v", want, got)
		}
	}
	if got := orrery(t, "check", "--explain", "unreachable-stat"); got.code != 2 || !strings.Contains(got.err, `did you mean "unreachable-state"?`) {
		t.Errorf("--explain of no rule: %+v", got)
	}
	if got := orrery(t, "check"); got.code != 2 || !strings.Contains(got.err, "orrery check .") {
		t.Errorf("check of nothing: %+v", got)
	}
}

func TestCheckReadsTestFiles(t *testing.T) {
	dir := starFolder(t, map[string]string{
		"flow.star":      testedFlow,
		"flow_test.star": "def test_x():\n    run().expect(status = \"finished\")\n    rnu()\n",
	})
	got := orrery(t, "check", dir)
	if got.code != 1 || !strings.Contains(got.out, "flow_test.star:3:5: error: nothing defines the name rnu") || strings.Count(got.out, "unresolved-name") != 1 {
		t.Errorf("%+v", got)
	}
}
