package api

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"orrery/engine"
	"orrery/engine/blueprint"
	"orrery/engine/job"
	"orrery/engine/store"
	"orrery/workers"
)

// This file holds what the package needs of the parts behind it.

// Jobs is what is asked of the engine.
type Jobs interface {
	Submit(ctx context.Context, r engine.Request) (id string, repeated bool, err error)
	Cancel(ctx context.Context, id, by string) error
	Decide(ctx context.Context, id, decision, by string) error
	DecideByToken(ctx context.Context, id, decision, token string) error
	CheckToken(ctx context.Context, id, token string) error
	ApprovalToken(id string, step int64) string
	Retry(ctx context.Context, id string, data json.RawMessage, latest bool, by string) error
	Close(ctx context.Context, id, by string) error
	Migrate(ctx context.Context, id string, dry bool, by string) (*engine.Move, error)
	MigrateAll(ctx context.Context, name string, dry bool, by, cursor string, limit int) (moves []engine.Move, next string, err error)
	LiveRevisions(ctx context.Context, name string) (map[string]int, error)
}

// Editions is what is asked about the revisions of blueprints, and how they are changed;
// *blueprint.Catalog implements it.
type Editions interface {
	Find(ctx context.Context, name, revision string) (*blueprint.Blueprint, error)
	Versions(ctx context.Context, name string) ([]blueprint.Version, error)
	Upload(ctx context.Context, files map[string]string, by string, dry bool) ([]blueprint.Changed, []blueprint.Finding, error)
	RemoveUpload(ctx context.Context, name, by string, dry bool) ([]blueprint.Changed, error)
	Uploads() []blueprint.Uploaded
	Reload(ctx context.Context) error
}

var _ Editions = (*blueprint.Catalog)(nil)

// Reader is what is read of jobs.
type Reader interface {
	Job(ctx context.Context, id string) (*job.Job, error)
	View(ctx context.Context, id string) (*engine.View, error)
	Results(ctx context.Context, j *job.Job, after string, limit int) (object json.RawMessage, next string, err error)
	List(ctx context.Context, q store.Query) (jobs []*engine.View, next string, err error)
	History(ctx context.Context, id string, take func([]engine.HistoryEvent) error) error
	Records(ctx context.Context, id string, after int64) ([]job.Record, error)
	Ways(ctx context.Context, id string) ([]job.Record, error)
	Newest(ctx context.Context, j *job.Job, most int) ([]job.Record, error)
	Why(ctx context.Context, id string) (*engine.Why, error)
	Watch(id string) (changed <-chan struct{}, stop func())
	Counts(ctx context.Context) (map[job.Status]int64, error)
	Stores(ctx context.Context, initial engine.Initial) ([]engine.StoreInfo, error)
	StoreValue(ctx context.Context, blueprint, name string, initial map[string]json.RawMessage, key string) (entry engine.StoreEntry, ok bool, err error)
	StoreEntries(ctx context.Context, blueprint, name string, initial map[string]json.RawMessage, from string, limit int) (entries []engine.StoreEntry, next string, err error)
	Unreadable() int
	Away() bool
	AttemptsUsed(ctx context.Context, client string) (used int64, resets time.Time, err error)
}

// Engine is all of them; *engine.Engine implements it.
type Engine interface {
	Jobs
	Reader
	Deliveries
}

var _ Engine = (*engine.Engine)(nil)

// Blueprint is what the outside knows of a blueprint.
type Blueprint struct {
	Name        string          `json:"name"`
	Endpoint    string          `json:"api_endpoint"` // without slashes at its ends; "" for one that only others start
	Version     string          `json:"api_version"`
	Revision    string          `json:"revision"`
	File        string          `json:"file"`
	Start       string          `json:"start"`
	States      []string        `json:"states"`
	Description string          `json:"description"`
	Example     json.RawMessage `json:"example"` // an object, or null

	Stores map[string]map[string]json.RawMessage `json:"-"` // data stores: initial values by name and key
}

// path is where a job of the blueprint is started.
func (b Blueprint) path() string {
	if b.Version == "" {
		return "/api/" + b.Endpoint
	}
	return "/api/" + b.Version + "/" + b.Endpoint
}

// Blueprints is what is asked of the loaded directory. The command line joins it to the
// catalog and to the package that draws.
type Blueprints interface {
	// List gives all blueprints in the order of their names.
	List() []Blueprint
	// ByEndpoint finds the name of the blueprint behind POST /api/{version}/{endpoint};
	// version is "" for one without.
	ByEndpoint(version, endpoint string) (name string, ok bool)
	// Faults lists what the last load or reload found wrong; with any, the revisions from
	// before stay in force.
	Faults() []blueprint.Finding
	// Graph draws a blueprint in one of its revisions.
	Graph(ctx context.Context, bp *blueprint.Blueprint, look GraphLook) ([]byte, error)
	// JobGraph draws a job's blueprint, as it was when the job began, with the job's ways and
	// its state laid over it.
	JobGraph(ctx context.Context, j *job.Job, records []job.Record, look GraphLook) ([]byte, error)
}

// GraphLook says how a graph is drawn.
type GraphLook struct {
	Format       string // svg, png, dot or mermaid
	Dark, Legend bool
}

// faultOf reads code and message of a refusal by the engine or by the hub.
func faultOf(err error) (code, message string, ok bool) {
	var f *engine.Fault
	if errors.As(err, &f) {
		return f.Code, f.Message, true
	}
	var w *workers.Error
	if errors.As(err, &w) {
		return w.Code, w.Message, true
	}
	return "", "", false
}
