package doctor

import (
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"orrery/cli/config"
	"orrery/engine/store"
)

// This file tests each check with something in order and something that is not.

var noon = time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)

// verdict demands a verdict and a word of what was seen or advised.
func verdict(t *testing.T, f store.Finding, want store.Verdict, word string) {
	t.Helper()
	if f.Verdict != want || !strings.Contains(f.Saw+" "+f.Remedy, word) {
		t.Errorf("%s is %+v, want %s with %q", f.Check, f, want, word)
	}
	if want != store.FineVerdict && f.Remedy == "" {
		t.Errorf("%s says not what to do: %+v", f.Check, f)
	}
}

func load(t *testing.T, environ ...string) *config.Config {
	t.Helper()
	cfg, err := config.Load(config.Source{Environ: append(environ, "API_PORT=0")})
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestMachine(t *testing.T) {
	verdict(t, filesFinding(256), store.BadVerdict, "ulimit -n")
	verdict(t, filesFinding(4096), store.WarnVerdict, "LimitNOFILE")
	verdict(t, filesFinding(65536), store.FineVerdict, "65536")
	verdict(t, zoneFinding(time.LoadLocation), store.FineVerdict, "known")
	verdict(t, zoneFinding(func(string) (*time.Location, error) { return nil, errors.New("unknown time zone") }), store.BadVerdict, "tzdata")
	synced := func(yes, known bool) func() (bool, bool) { return func() (bool, bool) { return yes, known } }
	verdict(t, clockFinding(noon, synced(true, true)), store.FineVerdict, "2030")
	verdict(t, clockFinding(noon, synced(false, false)), store.FineVerdict, "2030")
	verdict(t, clockFinding(noon, synced(false, true)), store.WarnVerdict, "chrony")
	verdict(t, clockFinding(time.Unix(0, 0), synced(true, true)), store.BadVerdict, "1970")
	verdict(t, layoutFinding(t.TempDir()), store.FineVerdict, "written")
	verdict(t, layoutFinding(os.DevNull), store.WarnVerdict, "TMPDIR")
}

func TestHeapAndMemory(t *testing.T) {
	if _, found := heapFinding(1<<30, 4<<30); found {
		t.Error("a limit of a quarter of the memory is found fault with")
	}
	f, found := heapFinding(2<<30, 1<<30)
	if !found {
		t.Fatal("a limit above the memory passes")
	}
	verdict(t, f, store.WarnVerdict, "ORRERY_LIMIT_HEAP_MIB=512")
	debug.SetMemoryLimit(1 << 30)
	defer debug.SetMemoryLimit(math.MaxInt64)
	f, _ = heapFinding(2<<30, 64<<30)
	verdict(t, f, store.WarnVerdict, "GOMEMLIMIT")
}

func TestConfigurationFaultsKeepOtherAreasOut(t *testing.T) {
	_, err := config.Load(config.Source{Environ: []string{"API_PORT=x", "API_HOST=0.0.0.0"}})
	all := Examine(context.Background(), &Subject{Fault: err, Now: noon})
	faults, unseen := 0, 0
	for _, f := range all {
		if f.Area == "configuration" && f.Verdict == store.BadVerdict {
			faults++
		}
		if f.Saw == "not looked at" {
			unseen++
		}
	}
	if faults != 3 || unseen != len(Checks)-2 || Worst(all) != store.BadVerdict { // the port and two tokens
		t.Errorf("%d faults, %d areas not looked at: %+v", faults, unseen, all)
	}
}

func TestPlaces(t *testing.T) {
	t.Chdir(t.TempDir())
	ctx := context.Background()
	subject := func(environ ...string) *Subject { return &Subject{Config: load(t, environ...), Now: noon} }
	verdict(t, blueprints(ctx, subject())[0], store.BadVerdict, "BLUEPRINTS_DIR")
	if err := os.Mkdir("flows", 0o755); err != nil {
		t.Fatal(err)
	}
	verdict(t, blueprints(ctx, subject("BLUEPRINTS_DIR=flows"))[0], store.WarnVerdict, "there is none")
	if err := os.WriteFile("flows/bad.star", []byte("x = = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	verdict(t, blueprints(ctx, subject("BLUEPRINTS_DIR=flows"))[0], store.BadVerdict, "bad.star")

	verdict(t, files(ctx, subject())[0], store.FineVerdict, ".orrery/files")
	if err := os.WriteFile("taken", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	verdict(t, files(ctx, subject("TASK_FILES_DIR=taken"))[0], store.BadVerdict, "is a file")
	closed := closedPort(t)
	s3 := []string{"S3_ENDPOINT_URL=http://127.0.0.1:" + closed, "S3_ACCESS_KEY=a", "S3_SECRET_KEY=b", "S3_DEFAULT_BUCKET=c"}
	verdict(t, files(ctx, subject(s3...))[1], store.BadVerdict, "S3_ENDPOINT_URL")

	got := databases(ctx, subject("HISTORY_DATABASE_URI=sqlite:copy.db", "SQL_DATABASE_SHOP=postgresql://u:hush@127.0.0.1:"+closed+"/d"))
	verdict(t, got[0], store.FineVerdict, "not there yet")
	verdict(t, got[1], store.BadVerdict, "whether it runs")
	if strings.Contains(got[1].Saw, "hush") {
		t.Errorf("a password is shown: %+v", got[1])
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 2 {
		t.Errorf("looking left files: %v (%v)", files, err)
	}
}

// closedPort gives a port on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func TestPort(t *testing.T) {
	ctx := context.Background()
	verdict(t, portFinding(ctx, load(t)), store.FineVerdict, "free")
	answer := `{"status":"ok","version":"1.2.3"}`
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, err := w.Write([]byte(answer)); err != nil {
			t.Error(err)
		}
	}))
	defer srv.Close()
	cfg := load(t)
	cfg.Port, _ = strconv.Atoi(srv.URL[strings.LastIndex(srv.URL, ":")+1:])
	verdict(t, portFinding(ctx, cfg), store.FineVerdict, "version 1.2.3")
	answer = "hello"
	verdict(t, portFinding(ctx, cfg), store.BadVerdict, "API_PORT")
}

func TestCertificate(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	cfg := load(t)
	cfg.TLSCert, cfg.TLSKey = filepath.Join(t.TempDir(), "none.crt"), "none.key"
	verdict(t, certificateFinding(cfg, noon), store.BadVerdict, "TLS_CERT_PATH")
	end := srv.Certificate().NotAfter
	verdict(t, leafFinding(srv.Certificate(), end.Add(-time.Hour*24*365)), store.FineVerdict, "good until")
	verdict(t, leafFinding(srv.Certificate(), end.Add(-time.Hour)), store.WarnVerdict, "renew")
	verdict(t, leafFinding(srv.Certificate(), end.Add(time.Hour)), store.BadVerdict, "not today")
}

func TestNodes(t *testing.T) {
	ctx := context.Background()
	held := func(info string) func(context.Context) ([]store.Lease, error) {
		return func(context.Context) ([]store.Lease, error) {
			return []store.Lease{{Name: "node/a", Left: 7 * time.Second, Info: []byte(info)}}, nil
		}
	}
	verdict(t, nodes(ctx, &Subject{})[0], store.FineVerdict, "one process")
	verdict(t, nodes(ctx, &Subject{Nodes: held(`{"url":"http://n:1","version":"2"}`)})[0], store.FineVerdict, "http://n:1")
	verdict(t, nodes(ctx, &Subject{Nodes: held(`7`)})[0], store.WarnVerdict, "one version")
	verdict(t, nodes(ctx, &Subject{Nodes: func(context.Context) ([]store.Lease, error) { return nil, errors.New("gone") }})[0], store.BadVerdict, "gone")
}
