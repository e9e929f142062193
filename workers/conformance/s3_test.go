// Recipe 12b: the unmodified Python SDK takes its files from an S3 server and puts them back.

package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"orrery/engine/blob"
	"orrery/engine/blob/s3"
)

// needS3 skips the test, or fails it when Python is required, without an S3 server and the
// SDK's part for it. It gives a new bucket, and what processes are told of it.
func needS3(t *testing.T, python string) (store *s3.Store, bucket string, env []string) {
	t.Helper()
	give := t.Skipf
	if os.Getenv("ORRERY_REQUIRE_PYTHON") == "1" {
		give = t.Fatalf
	}
	address := os.Getenv("ORRERY_TEST_S3")
	if address == "" {
		give("missing: an S3 server; scripts/test starts one and names it in ORRERY_TEST_S3")
	}
	if err := exec.Command(python, "-c", "import obstore").Run(); err != nil {
		give("missing: the S3 part of the Python worker SDK (%v); run scripts/python-sdks", err)
	}
	bucket = fmt.Sprintf("sdk-%d", time.Now().UnixNano())
	access, secret := os.Getenv("ORRERY_TEST_S3_ACCESS_KEY"), os.Getenv("ORRERY_TEST_S3_SECRET_KEY")
	store, err := s3.New(s3.Options{Endpoint: address, AccessKey: access, SecretKey: secret, Bucket: bucket})
	if err == nil {
		err = store.MakeBucket(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return store, bucket, []string{"S3_ENDPOINT_URL=" + address, "S3_ACCESS_KEY=" + access, "S3_SECRET_KEY=" + secret, "S3_DEFAULT_BUCKET=" + bucket}
}

func TestFilesOverS3(t *testing.T) {
	python := filepath.Join(needPython(t), "1.0b20", "bin", "python")
	store, bucket, env := needS3(t, python)
	example := filepath.Join("..", "..", "examples", "12b-large-files")
	s := startServer(t, nil, nil, blueprintFile{"s3.star", readFile(t, filepath.Join(example, "blueprint.star")), env})

	// 3 MiB, so that the worker reads several pieces.
	video := bytes.Repeat([]byte("frame\n"), 1<<19)
	if _, err := store.Put(t.Context(), "raw_videos/movie.mp4", bytes.NewReader(video), int64(len(video))); err != nil {
		t.Fatal(err)
	}
	script, err := filepath.Abs(filepath.Join(example, "worker.py"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	startProcess(t, process{
		name: "worker of recipe 12b", path: python, args: []string{script}, dir: dir,
		env: append(env, "ORCHESTRATOR_URL="+s.base, "WORKER_ID=video-1", "WORKER_TOKEN="+sharedToken, "HEARTBEAT_INTERVAL=1", "WORKER_SHUTDOWN_TIMEOUT=2",
			"TASK_FILES_DIR="+filepath.Join(dir, "payloads"), "WORKER_BLOB_CACHE_DIR="+filepath.Join(dir, "cache"), "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"),
	})
	s.awaitWorker(t, "video-1")

	id := s.create(t, "jobs/s3_pipeline", map[string]any{"s3_uri": "s3://" + bucket + "/raw_videos/movie.mp4"})
	j := s.awaitEnd(t, id)
	if j.Status != "finished" || j.History["bytes"] != float64(len("processed: ")+len(video)) {
		t.Fatalf("ended as %s", j)
	}
	for key, want := range map[string]string{"processed_video_path": "processed: " + string(video), "preview_path": "processed: frame"} {
		uri, _ := j.History[key].(string)
		name, ok := strings.CutPrefix(uri, "s3://"+bucket+"/"+id+"/")
		if !ok {
			t.Fatalf("%s is %q, want an address in the bucket below the job's id", key, uri)
		}
		if got := object(t, store, id+"/"+name); !strings.HasPrefix(got, want) || key == "processed_video_path" && got != want {
			t.Errorf("%s leads to %d bytes, want %d", uri, len(got), len(want))
		}
	}
	s.metadataOfRecipe(t, id, j.History["processed_video_path"].(string), int64(len("processed: ")+len(video)))

	s.signedOverS3(t, store, id)

	missing := s.awaitEnd(t, s.create(t, "jobs/s3_pipeline", map[string]any{"s3_uri": "s3://" + bucket + "/raw_videos/absent.mp4"}))
	if missing.Status != "quarantined" && missing.Status != "failed" {
		t.Errorf("an input that is not in the bucket: %s", missing)
	}
}

// signedOverS3 brings a file of the job to the bucket and back by the URLs that the server signs.
func (s *server) signedOverS3(t *testing.T, store blob.Store, id string) {
	t.Helper()
	var up struct {
		URL    string `json:"url"`
		Method string `json:"method"`
	}
	files := "/api/v1/jobs/" + id + "/files"
	if status := s.client(t, http.MethodGet, files+"/upload?filename=a%20b.txt&expires_in=60", nil, &up); status != http.StatusOK || up.Method != http.MethodPut {
		t.Fatalf("upload: HTTP %d %+v", status, up)
	}
	send := func(method, url, body string) string {
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(url, s.base) {
			r.Header.Set("X-Client-Token", clientToken)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d %s", resp.StatusCode, text)
	}
	if got := send(up.Method, up.URL, "by a signed URL"); !strings.HasPrefix(got, "200") {
		t.Fatalf("the signed upload: %s", got)
	}
	if got := object(t, store, blob.Key(id, "a b.txt")); got != "by a signed URL" {
		t.Errorf("the bucket has %q", got)
	}
	for _, way := range []string{"/download/", "/content/"} { // the first leads to the bucket
		if got := send(http.MethodGet, s.base+files+way+"a%20b.txt", ""); got != "200 by a signed URL" {
			t.Errorf("%s gives %s", way, got)
		}
	}
	if got := send(http.MethodPut, s.base+files+"/content/c", "through the server"); !strings.HasPrefix(got, "200") || object(t, store, blob.Key(id, "c")) != "through the server" {
		t.Errorf("an upload through the server: %s", got)
	}
}

func object(t *testing.T, store blob.Store, key string) string {
	t.Helper()
	body, _, err := store.Get(t.Context(), key)
	if err != nil {
		t.Fatalf("%s: %v", key, err)
	}
	text, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// metadataOfRecipe looks for what the worker said of its file in the job's history.
func (s *server) metadataOfRecipe(t *testing.T, id, uri string, size int64) {
	t.Helper()
	var events []struct {
		Record *struct {
			Kind string
			Task *struct {
				Metadata map[string]struct {
					URI  string
					Size int64
					ETag string
				} `json:"data_metadata"`
			}
		}
	}
	if status := s.client(t, http.MethodGet, "/api/v1/jobs/"+id+"/history", nil, &events); status != http.StatusOK {
		t.Fatalf("history: HTTP %d", status)
	}
	for _, e := range events {
		if e.Record == nil || e.Record.Task == nil {
			continue
		}
		if m, ok := e.Record.Task.Metadata["processed_video_path"]; ok {
			if m.URI != uri || m.Size != size || m.ETag == "" {
				t.Errorf("data_metadata is %+v, want %s with %d bytes and an etag", m, uri, size)
			}
			return
		}
	}
	raw, err := json.Marshal(events)
	t.Errorf("no task in the history has data_metadata: %s %v", raw, err)
}
