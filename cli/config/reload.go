package config

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"time"

	"orrery/engine/clock"
)

// This file reads the files of those who may come in, at the start and again when they change.

// Shared is a token beside those of a file: CLIENT_TOKEN, GLOBAL_WORKER_TOKEN. Its fields can
// be seen by package fmt, which masks a Secret only there.
type Shared struct {
	Token  Secret
	Chosen bool // set on purpose; a default gives way to a file that lists somebody
}

func (p Shared) beside(listed int) Secret {
	if listed > 0 && !p.Chosen {
		return ""
	}
	return p.Token
}

// ReadClients reads clients.toml, and gives the token of the one admin that holds beside it,
// "" for none. With faults nothing of it is to be used.
func (c *Config) ReadClients() (list []Client, admin Secret, faults Faults) {
	if c.ClientsPath == "" {
		return nil, c.SharedClient.Token, nil
	}
	list, faults = LoadClients(c.ClientsPath)
	admin = c.SharedClient.beside(len(list))
	for _, one := range list {
		if one.Name == "admin" && admin != "" {
			faults = append(faults, Fault{c.ClientsPath, fmt.Sprintf("the name [admin] belongs to the holder of %s; name the client otherwise", nameClientToken), ""})
		}
		if admin != "" && one.Token == DigestOf(admin.Reveal()) {
			faults = append(faults, Fault{c.ClientsPath, fmt.Sprintf("the client %q has the same token as %s; give one of them another", one.Name, nameClientToken), ""})
		}
	}
	return list, admin, faults
}

// ReadWorkers reads workers.toml, and gives the token that workers without one of their own
// share, "" when those are refused. With faults nothing of it is to be used.
func (c *Config) ReadWorkers() (list []Worker, shared Secret, faults Faults) {
	if c.WorkersPath == "" {
		return nil, c.SharedWorker.Token, nil
	}
	list, faults = LoadWorkers(c.WorkersPath)
	return list, c.SharedWorker.beside(len(list)), faults
}

// watchEvery is how often Watch looks. Looking works for every way to replace a file: an
// editor's rename, a link that a container's secrets are switched by, a network folder.
const watchEvery = 500 * time.Millisecond

// Watch calls changed for each of the files that has another size, date or identity than
// before and was left alone for a moment since, until ctx ends. A file that is missing counts
// as unchanged until it is back: many tools remove it for a moment. Paths that are "" are
// left out.
func Watch(ctx context.Context, c clock.Clock, changed func(path string), paths ...string) {
	files := map[string]*watched{}
	for _, path := range paths {
		if path != "" {
			files[path] = &watched{}
			files[path].taken, _ = os.Stat(path) // missing now: any file later is a change
			files[path].seen = files[path].taken
		}
	}
	for len(files) > 0 {
		timer := c.NewTimer(watchEvery)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return
		}
		for path, f := range files {
			if f.look(path) {
				changed(path)
			}
		}
	}
}

// watched is what Watch knows of a file.
type watched struct {
	taken fs.FileInfo // as it was when it was taken over
	seen  fs.FileInfo // as it was at the last look
}

// look tells whether the file is another one than was taken over, and the same as at the look
// before: half a file must not be read.
func (f *watched) look(path string) (changed bool) {
	now, err := os.Stat(path)
	if err != nil {
		return false
	}
	settled := same(f.seen, now)
	f.seen = now
	if !settled || same(f.taken, now) {
		return false
	}
	f.taken = now
	return true
}

func same(a, b fs.FileInfo) bool {
	return a != nil && os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}
