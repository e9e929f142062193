package engine

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"orrery/engine/blob"
	"orrery/starlib"
)

// This file is task_files as a handler sees it: the files of one job, and local copies of
// them. Local copies are a cache of this process, kept beside the store until the job has
// ended; their names begin with blob.Local.

const (
	filesListed = 10_000 // names that one list gives
	folderFiles = 1000   // files that one call copies or removes
)

// filesView is the files of one job.
type filesView struct {
	files, local blob.Store
	job          string
}

var _ starlib.Files = filesView{}

// filesOf gives the files of a job, or nil where the server keeps none: a nil interface, which
// scripts see as falsy.
func (e *Engine) filesOf(jobID string) starlib.Files {
	if e.cfg.Files == nil {
		return nil
	}
	return filesView{e.cfg.Files, e.cfg.LocalFiles, jobID}
}

// FileSecret is the key with which URLs to files on this server are signed: the same on
// every node, and after a restart.
func (e *Engine) FileSecret() []byte {
	mac := hmac.New(sha256.New, e.secret)
	mac.Write([]byte("URLs of files")) // a hash never fails
	return mac.Sum(nil)
}

// place tells which store holds a name, and its key there.
func (v filesView) place(name string, folder bool) (s blob.Store, key string, err error) {
	s = v.files
	plain, isLocal := strings.CutPrefix(name, blob.Local)
	if isLocal {
		s = v.local
	}
	check := blob.CheckName
	if folder {
		check = blob.CheckFolder
	}
	if err := check(plain); err != nil {
		return nil, "", starlib.Lasting(err)
	}
	if s == nil {
		return nil, "", starlib.Lasting(errors.New("this server keeps no local copies"))
	}
	return s, blob.Key(v.job, plain), nil
}

// fault says which errors repeating would not mend.
func (v filesView) fault(name string, err error) error {
	var passing interface{ Passing() bool }
	var wrong *blob.NameError
	var many *blob.TooMany
	switch {
	case err == nil:
		return nil
	case errors.Is(err, blob.ErrNotFound) && strings.HasPrefix(name, blob.Local):
		return starlib.Lasting(&starlib.Raised{Kind: starlib.KindNotFound, Message: fmt.Sprintf("there is no local copy %q on this node; download it in the same step", name)})
	case errors.Is(err, blob.ErrNotFound):
		return starlib.Lasting(&starlib.Raised{Kind: starlib.KindNotFound, Message: fmt.Sprintf("there is no file %q in this job's folder", name)})
	case errors.As(err, &wrong), errors.As(err, &many), errors.Is(err, fs.ErrPermission),
		errors.As(err, &passing) && !passing.Passing():
		return starlib.Lasting(err)
	}
	return err
}

// Read gives a whole file; its length is known before the first byte is read.
func (v filesView) Read(ctx context.Context, name string, most int) ([]byte, error) {
	s, key, err := v.place(name, false)
	if err != nil {
		return nil, err
	}
	body, info, err := s.Get(ctx, key)
	if err != nil {
		return nil, v.fault(name, err)
	}
	defer body.Close()
	if info.Size > int64(most) {
		return nil, starlib.Lasting(&starlib.Raised{Kind: starlib.KindTooLarge, Message: fmt.Sprintf(
			"the file %q has %d bytes, and a script reads at most %d: pass its name or uri to a worker", name, info.Size, most)})
	}
	data := make([]byte, info.Size)
	_, err = io.ReadFull(body, data)
	return data, err
}

// Write writes a whole file.
func (v filesView) Write(ctx context.Context, name string, data []byte) error {
	s, key, err := v.place(name, false)
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, key, strings.NewReader(string(data)), int64(len(data)))
	return v.fault(name, err)
}

// List gives names below a folder, without the folder's own place.
func (v filesView) List(ctx context.Context, folder string) ([]string, error) {
	if folder != "" && folder != blob.Local && !strings.HasSuffix(folder, "/") {
		folder += "/"
	}
	s, key, err := v.place(folder, true)
	if err != nil {
		return nil, err
	}
	infos, err := s.List(ctx, key, filesListed)
	if err != nil {
		return nil, v.fault(folder, err)
	}
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = strings.TrimPrefix(info.Key, blob.Folder(v.job))
	}
	return names, nil
}

// Exists looks for a file, or for any file of a folder.
func (v filesView) Exists(ctx context.Context, name string) (bool, error) {
	folder := strings.HasSuffix(name, "/")
	s, key, err := v.place(name, folder)
	if err != nil {
		return false, err
	}
	if folder {
		infos, err := s.List(ctx, key, 1)
		var many *blob.TooMany
		return len(infos) > 0 || errors.As(err, &many), onlyOthers(v.fault(name, err), errors.As(err, &many))
	}
	_, err = s.Stat(ctx, key)
	if errors.Is(err, blob.ErrNotFound) {
		return false, nil
	}
	return err == nil, v.fault(name, err)
}

func onlyOthers(err error, expected bool) error {
	if expected {
		return nil
	}
	return err
}

// Download copies files beside the store, whole and in bounded memory.
func (v filesView) Download(ctx context.Context, name string) (string, error) {
	if strings.HasPrefix(name, blob.Local) {
		return "", starlib.Lasting(fmt.Errorf("%q is a local copy already", name))
	}
	if err := v.copy(ctx, v.files, name, v.local, name); err != nil {
		return "", err
	}
	return blob.Local + name, nil
}

// Upload copies local copies into the job's folder.
func (v filesView) Upload(ctx context.Context, local, name string) (string, error) {
	local = strings.TrimPrefix(local, blob.Local)
	if !strings.HasSuffix(local, "/") { // upload("output") means a folder when there is no such file
		isFile, err := v.Exists(ctx, blob.Local+local)
		if err != nil {
			return "", err
		}
		if isFolder, err := v.Exists(ctx, blob.Local+local+"/"); err != nil {
			return "", err
		} else if isFolder && !isFile {
			local += "/"
		}
	}
	if name == "" {
		name = local
	}
	if strings.HasSuffix(local, "/") && !strings.HasSuffix(name, "/") {
		name += "/"
	}
	return name, v.copy(ctx, v.local, local, v.files, name)
}

// copy brings a file, or all files of a folder, from one store to the other.
func (v filesView) copy(ctx context.Context, from blob.Store, name string, to blob.Store, as string) error {
	shown := name
	if from == v.local {
		shown = blob.Local + name
	}
	if from == nil || to == nil {
		return starlib.Lasting(errors.New("this server keeps no local copies"))
	}
	if !strings.HasSuffix(name, "/") {
		if err := errors.Join(blob.CheckName(name), blob.CheckName(as)); err != nil {
			return starlib.Lasting(err)
		}
		return v.fault(shown, copyFile(ctx, from, blob.Key(v.job, name), to, blob.Key(v.job, as)))
	}
	if err := errors.Join(blob.CheckFolder(name), blob.CheckFolder(as)); err != nil {
		return starlib.Lasting(err)
	}
	infos, err := from.List(ctx, blob.Key(v.job, name), folderFiles)
	if err == nil && len(infos) == 0 {
		err = blob.ErrNotFound
	}
	var all int64
	for _, info := range infos {
		if all += info.Size; all > blob.MaxBytes {
			err = starlib.Lasting(fmt.Errorf("the files of %q have more than %d bytes together, the most that one call copies", name, int64(blob.MaxBytes)))
		}
	}
	if err != nil {
		return v.fault(shown, err)
	}
	for _, info := range infos {
		rest := strings.TrimPrefix(info.Key, blob.Key(v.job, name))
		if err := blob.CheckName(as + rest); err != nil { // somebody else wrote it into the bucket
			return starlib.Lasting(err)
		}
		if err := copyFile(ctx, from, info.Key, to, blob.Key(v.job, as+rest)); err != nil {
			return v.fault(shown, err)
		}
	}
	return nil
}

func copyFile(ctx context.Context, from blob.Store, key string, to blob.Store, as string) error {
	body, info, err := from.Get(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = to.Put(ctx, as, body, info.Size)
	return err
}

// Delete removes a file or all files of a folder.
func (v filesView) Delete(ctx context.Context, name string) error {
	folder := strings.HasSuffix(name, "/")
	s, key, err := v.place(name, folder)
	if err != nil {
		return err
	}
	if !folder {
		return v.fault(name, s.Delete(ctx, key))
	}
	infos, err := s.List(ctx, key, folderFiles)
	if err != nil {
		return v.fault(name, err)
	}
	keys := make([]string, len(infos))
	for i, info := range infos {
		keys[i] = info.Key
	}
	return v.fault(name, s.Delete(ctx, keys...))
}

// URI names a file for workers.
func (v filesView) URI(name string) (string, error) {
	plain := strings.TrimSuffix(name, "/")
	if err := blob.CheckName(plain); err != nil {
		return "", err
	}
	return v.files.URI(blob.Key(v.job, name)), nil
}
