package starlib

import (
	"context"
	"fmt"

	"go.starlark.net/starlark"

	"orrery/starlib/border"
)

// This file holds context.task_files: the files of the run's job. Reading and writing texts
// is for small files (Limits.TextBytes); large ones are copied whole, in bounded memory, and
// never become a value of the script.

// Files are the files of the run's job. Names are the script's; the Host checks them. All
// errors that repeating would not mend are Lasting.
type Files interface {
	// Read gives a whole file, or a local copy, of at most that many bytes.
	Read(ctx context.Context, name string, most int) ([]byte, error)
	// Write writes a whole file, or a local copy.
	Write(ctx context.Context, name string, data []byte) error
	// List gives the names below a folder ("" is the job's own), in order.
	List(ctx context.Context, folder string) ([]string, error)
	Exists(ctx context.Context, name string) (bool, error)
	// Download makes a local copy of a file, or of a folder, and gives its name.
	Download(ctx context.Context, name string) (local string, err error)
	// Upload copies a local copy to the job's files; name "" keeps its name.
	Upload(ctx context.Context, local, name string) (kept string, err error)
	// Delete removes a file or a folder, or a local copy; what is absent does not matter.
	Delete(ctx context.Context, name string) error
	// URI names a file for workers.
	URI(name string) (string, error)
}

// Kinds of caught errors of files, beside KindError and KindUnavailable.
const (
	KindNotFound = "not_found"
	KindTooLarge = "too_large"
)

// taskFiles is context.task_files; it is falsy where the server keeps no files.
type taskFiles struct{ s *Scope }

var fileMethods = map[string]*starlark.Builtin{
	"read_json":  starlark.NewBuiltin("task_files.read_json", filesReadJSON),
	"read_text":  starlark.NewBuiltin("task_files.read_text", filesReadText),
	"write_json": starlark.NewBuiltin("task_files.write_json", filesWriteJSON),
	"write_text": starlark.NewBuiltin("task_files.write_text", filesWriteText),
	"list":       starlark.NewBuiltin("task_files.list", filesList),
	"exists":     starlark.NewBuiltin("task_files.exists", filesExists),
	"download":   starlark.NewBuiltin("task_files.download", filesDownload),
	"upload":     starlark.NewBuiltin("task_files.upload", filesUpload),
	"delete":     starlark.NewBuiltin("task_files.delete", filesDelete),
	"uri":        starlark.NewBuiltin("task_files.uri", filesURI),
}

var _ starlark.HasAttrs = taskFiles{}

func (f taskFiles) String() string       { return "<task_files of job " + f.s.Job.ID + ">" }
func (taskFiles) Type() string           { return "task_files" }
func (taskFiles) Freeze()                {}
func (f taskFiles) Truth() starlark.Bool { return starlark.Bool(f.s.Host.Files != nil) }
func (taskFiles) Hash() (uint32, error)  { return 0, fmt.Errorf("unhashable: task_files") }

// AttrNames lists the methods, sorted.
func (taskFiles) AttrNames() []string { return builtinNames(fileMethods) }

// Attr gives a method.
func (f taskFiles) Attr(name string) (starlark.Value, error) {
	if m, ok := fileMethods[name]; ok {
		return m.BindReceiver(f), nil
	}
	return nil, nil
}

// filesOf gives the run and its files, or says what the server lacks.
func filesOf(b *starlark.Builtin) (*Scope, Files, error) {
	s := b.Receiver().(taskFiles).s
	if s.Host.Files == nil {
		return nil, nil, fmt.Errorf("%s: this server keeps no files; its operator sets TASK_FILES_DIR, or S3_ENDPOINT_URL with S3_DEFAULT_BUCKET (`if not task_files:` tells)", b.Name())
	}
	return s, s.Host.Files, nil
}

// readFile reads a whole file within the run's limits.
func readFile(b *starlark.Builtin, name string) (*Scope, []byte, error) {
	s, files, err := filesOf(b)
	if err != nil {
		return nil, nil, err
	}
	most := s.Limits.TextBytes
	data, err := Call(s, HostCall{Name: b.Name(), Kind: FileReads}, func(ctx context.Context) ([]byte, error) {
		return files.Read(ctx, name, most)
	})
	if err != nil {
		return nil, nil, err
	}
	return s, data, s.account.Text(b.Name(), len(data))
}

func filesReadText(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	_, data, err := readFile(b, name)
	if err != nil {
		return nil, err
	}
	return starlark.String(data), nil
}

func filesReadJSON(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	s, data, err := readFile(b, name)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, fmt.Errorf("%s: the file %q is empty, which is no JSON", b.Name(), name)
	}
	v, err := border.DecodeWithin(s.meter(), data, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return v, nil
}

// writeFile writes and gives the file's URI.
func writeFile(b *starlark.Builtin, name string, data []byte) (starlark.Value, error) {
	s, files, err := filesOf(b)
	if err != nil {
		return nil, err
	}
	detail := fmt.Sprintf("%s, %d bytes", name, len(data))
	return Call(s, HostCall{Name: b.Name(), Kind: FileActs, Detail: detail}, func(ctx context.Context) (starlark.Value, error) {
		return starlark.None, files.Write(ctx, name, data)
	})
}

func filesWriteText(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name, text string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "text", &text); err != nil {
		return nil, err
	}
	return writeFile(b, name, []byte(text))
}

func filesWriteJSON(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var value starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "value", &value); err != nil {
		return nil, err
	}
	s := b.Receiver().(taskFiles).s
	text, err := s.encode(value, "value", s.Limits.TextBytes, CodeText)
	if err == nil {
		err = s.account.Alloc(len(text))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return writeFile(b, name, text)
}

func filesList(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var folder string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "folder?", &folder); err != nil {
		return nil, err
	}
	s, files, err := filesOf(b)
	if err != nil {
		return nil, err
	}
	names, err := Call(s, HostCall{Name: b.Name(), Kind: FileReads}, func(ctx context.Context) ([]string, error) {
		return files.List(ctx, folder)
	})
	if err != nil {
		return nil, err
	}
	out := make([]starlark.Value, len(names))
	for i, name := range names {
		if err := s.account.Alloc(len(name) + 64); err != nil {
			return nil, err
		}
		out[i] = starlark.String(name)
	}
	return starlark.NewList(out), nil
}

func filesExists(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	s, files, err := filesOf(b)
	if err != nil {
		return nil, err
	}
	there, err := Call(s, HostCall{Name: b.Name(), Kind: FileReads}, func(ctx context.Context) (bool, error) {
		return files.Exists(ctx, name)
	})
	return starlark.Bool(there), err
}

func filesDownload(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	s, files, err := filesOf(b)
	if err != nil {
		return nil, err
	}
	local, err := Call(s, HostCall{Name: b.Name(), Kind: FileReads}, func(ctx context.Context) (string, error) {
		return files.Download(ctx, name)
	})
	if err != nil {
		return nil, err
	}
	return starlark.String(local), nil
}

func filesUpload(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var local, name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "local", &local, "name?", &name); err != nil {
		return nil, err
	}
	s, files, err := filesOf(b)
	if err != nil {
		return nil, err
	}
	kept, err := Call(s, HostCall{Name: b.Name(), Kind: FileActs, Detail: local}, func(ctx context.Context) (string, error) {
		return files.Upload(ctx, local, name)
	})
	if err != nil {
		return nil, err
	}
	return starlark.String(kept), nil
}

func filesDelete(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	s, files, err := filesOf(b)
	if err != nil {
		return nil, err
	}
	return Call(s, HostCall{Name: b.Name(), Kind: FileActs, Detail: name}, func(ctx context.Context) (starlark.Value, error) {
		return starlark.None, files.Delete(ctx, name)
	})
}

// filesURI looks at nothing: it only puts the file's address together.
func filesURI(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name); err != nil {
		return nil, err
	}
	_, files, err := filesOf(b)
	if err != nil {
		return nil, err
	}
	uri, err := files.URI(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.String(uri), nil
}
