package storetest

import (
	"errors"
	"fmt"
	"sync"

	"orrery/engine/store"
)

// This file tests the kept revisions of blueprint files and which of them stands for a file.

// revisionAt is a revision that was put first and last some seconds after the epoch.
func revisionAt(hash string, seconds int) store.Revision {
	return store.Revision{
		Hash: hash, Main: "a.star", Blueprints: []string{"a", "ñ"}, Files: map[string]string{"a.star": "x = 'ñ<>'\n", "lib/b.star": ""},
		Created: at(seconds), Used: at(seconds),
	}
}

func revisions(b *bed) {
	r := revisionAt("abc", 0)
	b.must(b.PutRevision(b.ctx, r))
	later := r
	later.Created, later.Used, later.Main = at(5), at(5), "changed"
	b.must(b.PutRevision(b.ctx, later))
	earlier := r
	earlier.Used = at(3)
	b.must(b.PutRevision(b.ctx, earlier))
	got, err := b.Revision(b.ctx, "abc")
	b.must(err)
	r.Used = at(5)
	b.same("the first one stands, with the newest use", got, r)
	_, err = b.Revision(b.ctx, "abd")
	b.want(err, store.ErrNotFound)

	plain := store.Revision{Hash: "plain", Main: "p.star", Files: map[string]string{"p.star": ""}, Created: at(7)}
	b.must(b.PutRevision(b.ctx, plain))
	got, err = b.Revision(b.ctx, "plain")
	b.must(err)
	plain.Used = at(7)
	b.same("without a date of use it is that of the first put", got, plain)
}

func revisionList(b *bed) {
	none, err := b.Revisions(b.ctx)
	b.must(err)
	if len(none) != 0 {
		b.Fatalf("an empty store lists %v", none)
	}
	var want []store.Revision
	for i, hash := range []string{"a1", "b2", "c3"} {
		r := revisionAt(hash, i)
		b.must(b.PutRevision(b.ctx, r))
		r.Files = nil
		want = append(want, r)
	}
	b.must(b.PutRevision(b.ctx, revisionAt("b2", 60)))
	want[1].Used = at(60)
	got, err := b.Revisions(b.ctx)
	b.must(err)
	b.same("revisions", got, want)
}

func revisionDrop(b *bed) {
	drop := func(seconds int, want bool) {
		b.Helper()
		dropped, err := b.DropRevision(b.ctx, "abc", at(seconds))
		b.must(err)
		if dropped != want {
			b.Fatalf("dropping what was not put since %d s: %v, want %v", seconds, dropped, want)
		}
	}
	drop(100, false) // there is none
	b.must(b.PutRevision(b.ctx, revisionAt("abc", 0)))
	b.must(b.PutRevision(b.ctx, revisionAt("other", 0)))
	b.must(b.PutRevision(b.ctx, revisionAt("abc", 10)))
	drop(9, false)
	drop(10, false) // at that date is not before it
	drop(11, true)
	drop(11, false)
	_, err := b.Revision(b.ctx, "abc")
	b.want(err, store.ErrNotFound)
	if _, err := b.Revision(b.ctx, "other"); err != nil {
		b.Fatalf("another one is gone too: %v", err)
	}
	again := revisionAt("abc", 20)
	b.must(b.PutRevision(b.ctx, again))
	got, err := b.Revision(b.ctx, "abc")
	b.must(err)
	b.same("put again, it begins anew", got, again)
}

// revisionRace puts and drops at once: whoever was told that the revision is kept finds it.
func revisionRace(b *bed) {
	for i := range 30 {
		hash := fmt.Sprintf("r%d", i)
		b.must(b.PutRevision(b.ctx, revisionAt(hash, 0)))
		var wait sync.WaitGroup
		var put, drop error
		wait.Go(func() { put = b.PutRevision(b.ctx, revisionAt(hash, 60)) })
		wait.Go(func() { _, drop = b.DropRevision(b.ctx, hash, at(30)) })
		wait.Wait()
		b.must(errors.Join(put, drop))
		if r, err := b.Revision(b.ctx, hash); err != nil || !r.Used.Equal(at(60)) {
			b.Fatalf("after a put that was done: %+v, %v", r, err)
		}
	}
}

func sourceFiles(b *bed) {
	list := func(want ...store.SourceFile) {
		b.Helper()
		got, err := b.SourceFiles(b.ctx)
		b.must(err)
		b.same("files", got, want)
	}
	list()
	lib := store.SourceFile{Name: "lib/ñ.star", Revision: "abc", At: at(1)}
	up := store.SourceFile{Name: "a.star", Revision: "feed", Uploaded: true, By: "ada", At: at(2)}
	b.must(b.PutFile(b.ctx, lib))
	b.must(b.PutFile(b.ctx, up))
	list(up, lib)
	up.Revision, up.By, up.Uploaded, up.At = "beef", "", false, at(3)
	b.must(b.PutFile(b.ctx, up))
	list(up, lib)
	b.must(b.DropFile(b.ctx, "lib/ñ.star"))
	b.must(b.DropFile(b.ctx, "lib/ñ.star"))
	list(up)
}
