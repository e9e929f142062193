//go:build killpoints

package sqlite

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"orrery/engine/job"
	"orrery/engine/killpoint"
)

// This file kills a committing process at every numbered point and looks at what is left.

// TestMain turns the test binary into the victim when it is told to.
func TestMain(m *testing.M) {
	if path := os.Getenv("ORRERY_TEST_VICTIM"); path != "" {
		victim(path)
		return
	}
	os.Exit(m.Run())
}

// victim commits from several goroutines and says what it was told is durable.
func victim(path string) {
	s, err := Open(path, Options{CheckpointBytes: 64 << 10})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	for i := range 8 {
		go func() {
			c := newJob(i)
			for {
				if err := s.Commit(ctx, c); err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Println("durable", c.Job.ID, c.Job.Version)
				c = step(c.Job, job.Running)
			}
		}()
	}
	select {}
}

func TestKilledAtEveryPoint(t *testing.T) {
	for _, name := range killpoint.All {
		if !strings.HasPrefix(name, "sqlite.") {
			continue
		}
		for _, count := range []int{1, 2, 20} {
			t.Run(fmt.Sprintf("%s:%d", name, count), func(t *testing.T) { killAt(t, name, count) })
		}
	}
}

func killAt(t *testing.T, name string, count int) {
	path := filepath.Join(t.TempDir(), "o.db")
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "ORRERY_TEST_VICTIM="+path, fmt.Sprintf("ORRERY_KILLPOINT=%s:%d", name, count))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := map[string]int64{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var id string
		var version int64
		if _, err := fmt.Sscanf(lines.Text(), "durable %s %d", &id, &version); err != nil {
			t.Fatalf("the victim said %q", lines.Text())
		}
		told[id] = max(told[id], version)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the victim ended with %v, want a kill", err)
	}
	if len(told) == 0 && count == 20 {
		t.Fatal("the victim committed nothing before it died")
	}
	survey(t, open(t, path, Options{}), told)
}

// survey demands that what was told is there, and that what is there is whole.
func survey(t *testing.T, s *Store, told map[string]int64) {
	for id, version := range told {
		if j, err := s.Job(ctx, id); err != nil || j.Version < version {
			t.Errorf("job %s was durable at version %d; now %+v (%v)", id, version, j, err)
		}
	}
	ready, err := s.Ready(ctx, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	n, err := s.Counts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range n {
		sum += c
	}
	if int64(len(ready)) != sum {
		t.Errorf("%d jobs are ready, %d are counted", len(ready), sum)
	}
	for _, id := range ready {
		j, d, err := s.Load(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		recs, err := s.Records(ctx, id, 0, 1000)
		want := "{}"
		if j.Version > 1 {
			want = fmt.Sprintf(`{"version":%d}`, j.Version)
		}
		if err != nil || int64(len(recs)) != j.Version-1 || string(d.History) != want {
			t.Errorf("job %s at version %d has %d records and the data %s (%v)", id, j.Version, len(recs), d.History, err)
		}
	}
	err = s.read(ctx, func(c *conn) error {
		var said []string
		if err := c.each("PRAGMA integrity_check", func(r row) error { said = append(said, r.text(0)); return nil }); err != nil {
			return err
		}
		if !slices.Equal(said, []string{"ok"}) {
			t.Errorf("integrity check: %v", said)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
