package job

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// This file keeps what workers say of the files in their results (data_metadata), and hands it
// on with the params that name the same files, so that the next worker can check what it
// downloads.

// The bounds of what a job remembers.
const (
	filesKept     = 64       // the newest ones
	maxMetadata   = 16 << 10 // bytes of one result's metadata in the history
	maxURI        = 2048     // bytes
	maxParamDepth = 100
)

// FileNote is one file as a worker described it.
type FileNote struct {
	URI  string `json:"uri"`
	Size int64  `json:"size"` // bytes
	ETag string `json:"etag,omitempty"`
}

// noteFiles adds what a result says of its files to what the job knows. kept is the part for
// the history. Metadata of another form is no reason to refuse a result: it is left out.
func noteFiles(known, metadata json.RawMessage) (now, kept json.RawMessage) {
	var said map[string]*FileNote
	if len(metadata) == 0 || json.Unmarshal(metadata, &said) != nil || len(said) == 0 {
		return known, nil
	}
	if kept = metadata; len(kept) > maxMetadata {
		kept = json.RawMessage(fmt.Sprintf(`{"left_out":"%d bytes, the limit is %d"}`, len(metadata), maxMetadata))
	}
	var notes []FileNote
	if len(known) > 0 && json.Unmarshal(known, &notes) != nil { // written by an earlier form: forgotten
		notes = nil
	}
	for _, n := range said {
		if n == nil || n.URI == "" || len(n.URI) > maxURI || len(n.ETag) > maxURI {
			continue
		}
		for i := range notes { // the newest note of a file counts
			if notes[i].URI == n.URI {
				notes = append(notes[:i], notes[i+1:]...)
				break
			}
		}
		notes = append(notes, *n)
	}
	if len(notes) > filesKept {
		notes = notes[len(notes)-filesKept:]
	}
	now, err := json.Marshal(notes)
	if err != nil { // texts and numbers always encode
		panic(err)
	}
	return now, kept
}

// filesIn finds the known files that params name, by the path of each key: "a.b", "list[0]".
func filesIn(params, known json.RawMessage) json.RawMessage {
	if len(known) == 0 || !bytes.Contains(params, []byte("://")) {
		return nil
	}
	var notes []FileNote
	var value any
	if json.Unmarshal(known, &notes) != nil || json.Unmarshal(params, &value) != nil {
		return nil
	}
	byURI := make(map[string]FileNote, len(notes))
	for _, n := range notes {
		byURI[n.URI] = n
	}
	found := map[string]FileNote{}
	findFiles(value, "", maxParamDepth, byURI, found)
	if len(found) == 0 {
		return nil
	}
	out, err := json.Marshal(found)
	if err != nil { // texts and numbers always encode
		panic(err)
	}
	return out
}

func findFiles(v any, path string, depth int, known, found map[string]FileNote) {
	if depth == 0 {
		return
	}
	switch v := v.(type) {
	case string:
		if n, ok := known[v]; ok {
			found[path] = n
		}
	case map[string]any:
		for key, one := range v {
			if path != "" {
				key = path + "." + key
			}
			findFiles(one, key, depth-1, known, found)
		}
	case []any:
		for i, one := range v {
			findFiles(one, fmt.Sprintf("%s[%d]", path, i), depth-1, known, found)
		}
	}
}
