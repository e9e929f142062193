package config

import (
	"slices"
	"strings"
	"testing"
)

// This file tests what is doubted and guessed.

func TestDoubts(t *testing.T) {
	for _, c := range []struct {
		want    string // name of the setting; "" for none
		environ string // with spaces
	}{
		{"", "CLIENT_TOKEN=a GLOBAL_WORKER_TOKEN=b"},
		{"CLIENT_TOKEN", "GLOBAL_WORKER_TOKEN=b"},
		{"GLOBAL_WORKER_TOKEN", "CLIENT_TOKEN=a"},
		{"API_HOST", "CLIENT_TOKEN=a GLOBAL_WORKER_TOKEN=b API_HOST=0.0.0.0 WEBHOOK_SECRET=whsec_MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0"},
		{"RATE_LIMIT_LIMIT", "CLIENT_TOKEN=a GLOBAL_WORKER_TOKEN=b RATE_LIMITING_ENABLED=false RATE_LIMIT_LIMIT=5"},
		{"RATE_LIMIT_PERIOD", "CLIENT_TOKEN=a GLOBAL_WORKER_TOKEN=b RATE_LIMIT_PERIOD=5"},
		{"TLS_CERT_PATH", "CLIENT_TOKEN=a GLOBAL_WORKER_TOKEN=b TLS_CERT_PATH=c TLS_KEY_PATH=k TLS_ENABLED=false"},
	} {
		cfg, err := Load(Source{Environ: strings.Fields(c.environ)})
		if err != nil {
			t.Fatal(err)
		}
		doubts := cfg.Doubts()
		if c.want == "" && len(doubts) == 0 {
			continue
		}
		if len(doubts) != 1 || doubts[0].Name != c.want || doubts[0].Remedy == "" {
			t.Errorf("%s: %+v, want one about %q", c.environ, doubts, c.want)
		}
	}
}

func TestMistyped(t *testing.T) {
	got := Mistyped([]string{"API_PROT=1", "ORRERY_API_HOST=x", "TLS_CERT=y", "WORKER_TIMEOUT_SECOND=1", "S3_BUCKET_NAME=b",
		"PATH=/bin", "HOME=/root", "LANG=C", "ORRERY_URL=u", "ORRERY_TOKEN=t", "REDIS_HOST=h", "API_PRT=", "WORKER_ID=w", "CLIENT_TOKNE=a", "CLIENT_TOKEN=a"})
	var said []string
	for _, d := range got {
		said = append(said, d.Name+" "+d.Remedy)
	}
	want := []string{"API_PROT did you mean API_PORT?", "ORRERY_API_HOST did you mean API_HOST?", "TLS_CERT did you mean TLS_CERT_PATH?",
		"WORKER_TIMEOUT_SECOND did you mean WORKER_TIMEOUT_SECONDS?"}
	if !slices.Equal(said, want) {
		t.Errorf("guessed %q\nwant %q", said, want)
	}
}

func TestUnknownKeysAreGuessed(t *testing.T) {
	if m := meant("api_prot"); !strings.Contains(m, `"api_port"`) {
		t.Errorf("api_prot: %q", m)
	}
	if m := meant("something_else"); m != "" {
		t.Errorf("something_else: %q", m)
	}
}
