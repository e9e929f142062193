package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"orrery/engine/store"
)

// This file looks at the machine.

func machine(_ context.Context, s *Subject) []store.Finding {
	var out []store.Finding
	if most, known := openFilesLimit(); known {
		out = append(out, filesFinding(most))
	}
	out = append(out, zoneFinding(time.LoadLocation), layoutFinding(os.TempDir()))
	return append(out, clockFinding(s.Now, clockSynced))
}

// A worker that polls takes a connection, and so does each client; with fewFiles a few
// hundred workers stop the server from taking more.
const (
	fewFiles  = 1024
	someFiles = 8192
)

func filesFinding(most uint64) store.Finding {
	const check, remedy = "open files", "raise it: ulimit -n 65536, or LimitNOFILE=65536 in the systemd unit"
	saw := fmt.Sprintf("at most %d; each worker and client takes one", most)
	switch {
	case most < fewFiles:
		return store.Bad(check, saw, remedy)
	case most < someFiles:
		return store.Warn(check, saw, remedy)
	}
	return store.Fine(check, saw)
}

// zoneFinding asks for a zone with summer time, which no machine invents.
func zoneFinding(load func(string) (*time.Location, error)) store.Finding {
	if _, err := load("Europe/Madrid"); err != nil {
		return store.Bad("time zones", err.Error(), "use a build with its own data of time zones, or install tzdata")
	}
	return store.Fine("time zones", "known")
}

// layoutFinding looks at the folder from which the layout library loads its code.
func layoutFinding(folder string) store.Finding {
	const check = "folder for drawing"
	if err := tryWrite(folder); err != nil {
		return store.Warn(check, err.Error(), "give the user of this process a home folder, or set TMPDIR to a folder of its own: without one each start takes half a second longer")
	}
	return store.Fine(check, folder+" can be written")
}

// birth is before every start of this program: a clock before it was never set.
var birth = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// clockFinding asks whether the clock is right; synced says whether somebody keeps it so.
func clockFinding(now time.Time, synced func() (yes, known bool)) store.Finding {
	const check, remedy = "clock", "let a time service keep it (chrony, systemd-timesyncd): schedules and deadlines go by it"
	saw := now.UTC().Format(time.RFC3339)
	if now.Before(birth) {
		return store.Bad(check, saw+" can not be true", remedy)
	}
	if yes, known := synced(); known && !yes {
		return store.Warn(check, saw+", and the kernel says that nobody keeps it right", remedy)
	}
	return store.Fine(check, saw)
}

// tryWrite makes a file in the folder, or in the nearest one above that is there, and removes
// it.
func tryWrite(folder string) error {
	for {
		info, err := os.Stat(folder)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is a file", folder)
		}
		if !errors.Is(err, fs.ErrNotExist) || filepath.Dir(folder) == folder {
			break
		}
		folder = filepath.Dir(folder)
	}
	f, err := os.CreateTemp(folder, ".orrery-doctor-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
