package cli

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// This file runs the scenarios under testdata: archives of files with a command line and
// all that it must print.

var update = flag.Bool("update", false, "write what the commands print into the archives")

// archive is a text file of several files: a comment, then "-- NAME --" lines with texts.
type archive struct {
	comment string
	names   []string
	texts   map[string]string
}

var fileMark = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

func readArchive(t *testing.T, path string) *archive {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a := &archive{texts: map[string]string{}}
	marks := fileMark.FindAllSubmatchIndex(raw, -1)
	end := len(raw)
	for i := len(marks) - 1; i >= 0; i-- {
		m := marks[i]
		name := string(raw[m[2]:m[3]])
		a.texts[name] = string(raw[m[1]:end])
		a.names = append([]string{name}, a.names...)
		end = m[0]
	}
	a.comment = string(raw[:end])
	return a
}

func (a *archive) set(name, text string) {
	if _, ok := a.texts[name]; !ok {
		a.names = append(a.names, name)
	}
	a.texts[name] = text
}

func (a *archive) String() string {
	var b strings.Builder
	b.WriteString(a.comment)
	for _, name := range a.names {
		fmt.Fprintf(&b, "-- %s --\n%s", name, a.texts[name])
	}
	return b.String()
}

// printed are the parts of an archive that a command makes; the rest are its files.
var printed = []string{"code", "stdout", "stderr"}

// TestScenarios runs the command after the $ of each archive's comment, in a folder with the
// archive's files, and compares exit code and output. Job ids become JOB1, JOB2, ...
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d archives, %v", len(paths), err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			a := readArchive(t, path)
			_, line, ok := strings.Cut(a.comment, "$ orrery ")
			if !ok {
				t.Fatal("the comment has no line $ orrery ...")
			}
			line, _, _ = strings.Cut(line, "\n")
			abs, err := filepath.Abs(path)
			if err != nil {
				t.Fatal(err)
			}
			t.Chdir(unpack(t, a))
			got := orrery(t, words(line)...)
			ids := map[string]string{}
			result := map[string]string{"code": fmt.Sprintln(got.code), "stdout": steady(got.out, ids), "stderr": steady(got.err, ids)}
			if *update {
				for _, name := range printed {
					a.set(name, result[name])
				}
				if err := os.WriteFile(abs, []byte(a.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			for _, name := range printed {
				if result[name] != a.texts[name] {
					t.Errorf("%s is\n%s\nwant\n%s", name, result[name], a.texts[name])
				}
			}
		})
	}
}

func unpack(t *testing.T, a *archive) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, name := range a.names {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(a.texts[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// words splits a command line at blanks; single quotes keep them.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}

var (
	jobID    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	instants = regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z`)
)

// steady replaces what differs from run to run.
func steady(text string, ids map[string]string) string {
	text = jobID.ReplaceAllStringFunc(text, func(id string) string {
		if ids[id] == "" {
			ids[id] = fmt.Sprintf("JOB%d", len(ids)+1)
		}
		return ids[id]
	})
	return instants.ReplaceAllString(text, "TIME")
}
