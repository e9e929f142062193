package redis

import (
	"context"
	"slices"
	"strings"
	"testing"

	"orrery/engine/store"
	"orrery/engine/store/redis/redistest"
)

// This file tests what doctor is told.

// checks gives the names of the findings of a verdict, in order, and all their text.
func checks(all []store.Finding, v store.Verdict) (names []string, text string) {
	for _, f := range all {
		if f.Verdict == v {
			names = append(names, f.Check)
			text += f.Check + ": " + f.Saw + " -> " + f.Remedy + "\n"
		}
		if f.Verdict != store.FineVerdict && f.Remedy == "" {
			text += f.Check + " HAS NO REMEDY\n"
		}
	}
	slices.Sort(names)
	return names, text
}

func TestInspect(t *testing.T) {
	ctx := context.Background()
	good := redistest.Start(t)
	all := Inspect(ctx, good.URL())
	if names, text := checks(all, store.WarnVerdict); len(names) > 0 {
		t.Errorf("a good server is warned of: %s", text)
	}
	if names, text := checks(all, store.FineVerdict); !slices.Equal(names, []string{"clock", "latency", "memory", "persistence", "version"}) {
		t.Errorf("of a good server: %s", text)
	}
	_, text := checks(Inspect(ctx, good.URL("wait=1")), store.WarnVerdict)
	if !strings.Contains(text, "0 replicas follow it, and STORE_URL has wait=1: it takes no write") {
		t.Errorf("a wait that can not end: %s", text)
	}
	bad := redistest.Start(t, "--appendonly", "no", "--maxmemory", "1mb", "--maxmemory-policy", "allkeys-lru")
	_, text = checks(Inspect(ctx, bad.URL()), store.WarnVerdict)
	for _, want := range []string{"set appendonly yes", "set noeviction", "raise maxmemory"} {
		if !strings.Contains(text, want) {
			t.Errorf("of a bad server nobody says %q: %s", want, text)
		}
	}
	if c := bad.Client(); c.DBSize(ctx).Val() != 0 {
		t.Error("a look has written")
	}
	good.Kill()
	if names, text := checks(Inspect(ctx, good.URL()), store.BadVerdict); len(names) != 1 || strings.Contains(text, "NO REMEDY") {
		t.Errorf("of a server that is away: %s", text)
	}
}

func TestInspectReplicas(t *testing.T) {
	ctx := context.Background()
	set := redistest.StartSentinel(t)
	for wait, want := range map[string]string{"wait=0": "put wait=1 into STORE_URL", "wait=1": "", "wait=2": "start one more", "wait=3": "it takes no write"} {
		if _, text := checks(Inspect(ctx, set.URL(wait)), store.WarnVerdict); want == "" && text != "" || !strings.Contains(text, want) {
			t.Errorf("%s: %s; want %q", wait, text, want)
		}
	}
}
