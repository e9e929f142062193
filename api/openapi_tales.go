package api

import "github.com/gofiber/fiber/v2"

// This file says in words what each line of the table of routes does; a test holds the two
// together.

const (
	aJobID    = `{"status": "accepted", "job_id"}`
	theJob    = "the job as it stands"
	svgOrText = "the picture"
)

// tales are by method and path.
var tales = map[string]told{
	// Jobs.
	"POST /api/*":                           {summary: "Start a job of the blueprint whose api_endpoint this is", body: "initial data, or {\"initial_data\": ...} beside options of the start", answer: aJobID, code: fiber.StatusAccepted},
	"GET /api/v1/jobs":                      {summary: "List jobs, the newest first; the header Link leads to the next page", query: "status blueprint limit cursor", answer: "a list of jobs"},
	"GET /api/v1/jobs/quarantined":          {summary: "List the jobs in quarantine", query: "blueprint limit cursor", answer: "a list of jobs"},
	"GET /api/v1/jobs/:id":                  {summary: "Show a job", answer: theJob},
	"POST /api/v1/jobs/:id/cancel":          {summary: "Cancel a job and the tasks it waits for", answer: `{"status", "job_id"}`},
	"POST /api/v1/jobs/:id/retry":           {summary: "Go on with a job that failed or is in quarantine", body: `may be empty; {"data": what to go on with, "revision": "latest"}`, answer: `{"status", "job_id"}`},
	"POST /api/v1/jobs/:id/close":           {summary: "Close a job that is in quarantine", answer: `{"status", "job_id"}`},
	"POST /api/v1/jobs/:id/approve":         {summary: "Decide what a job asks a person", body: `{"decision"}`, answer: `{"status", "job_id"}`},
	"POST /api/v1/jobs/:id/migrate":         {summary: "Move a waiting job to the newest revision of its blueprint", body: `may be empty; {"dry_run": true} only says what would happen`, answer: "what was or would be changed"},
	"POST /api/v1/jobs/:id/redeliver":       {summary: "Send a job's webhook again", answer: "the delivery"},
	"GET /api/v1/jobs/:id/history":          {summary: "Show what happened to a job, step by step", answer: "a list of records"},
	"GET /api/jobs/:id/history":             {summary: "The history, at the original's path", answer: "a list of records"},
	"GET /api/v1/jobs/:id/results":          {summary: "Show the results of a job's parallel branches; the header Link leads to the next page", query: "limit cursor", answer: `{task_id: {"status", "data", "task_type"}}`},
	"GET /api/v1/jobs/:id/why":              {summary: "Say why a job is not moving, since when, and what can be done", answer: "reasons and commands"},
	"GET /api/v1/jobs/:id/graph":            {summary: "Draw the way of a job", query: "format dark legend", answer: svgOrText, media: "image/svg+xml"},
	"GET /api/v1/jobs/:id/events":           {summary: "Follow a job; the stream ends with it", answer: "server-sent events", media: "text/event-stream"},
	"GET /api/v1/jobs/:id/files":            {summary: "List a job's files", answer: "a list of files"},
	"GET /api/v1/jobs/:id/files/upload":     {summary: "Get a signed URL to put a file", query: "filename expires_in", answer: `{"url", "expires_in", "method"}`},
	"GET /api/v1/jobs/:id/files/content/*":  {summary: "Read a file, through the server", query: "expires signature", answer: "the file", media: fiber.MIMEOctetStream},
	"PUT /api/v1/jobs/:id/files/content/*":  {summary: "Write a file, through the server", query: "expires signature", body: "the file", answer: `{"status": "uploaded", "s3_uri"}`},
	"GET /api/v1/jobs/:id/files/download/*": {summary: "Get a file where it lies", answer: "its signed URL in Location", code: fiber.StatusFound},

	// What runs here.
	"GET /api/v1/approvals":                 {summary: "List what waits for people", answer: "a list of questions"},
	"GET /api/v1/blueprints":                {summary: "List blueprints", answer: "a list of blueprints"},
	"GET /api/v1/blueprints/:name":          {summary: "Show a blueprint", answer: "the blueprint"},
	"GET /api/v1/blueprints/:name/graph":    {summary: "Draw a blueprint; without a format as DOT", query: "format dark legend revision", answer: svgOrText, media: "text/vnd.graphviz"},
	"GET /api/v1/blueprints/:name/versions": {summary: "List the revisions of a blueprint, and how many jobs are on each", answer: "a list of revisions"},
	"GET /api/v1/blueprints/:name/diff":     {summary: "Compare two revisions of a blueprint", query: "from to", answer: "what differs"},
	"GET /api/v1/blueprints/:name/source":   {summary: "Show the files of a revision", query: "revision", answer: "the files"},
	"POST /api/v1/blueprints/:name/migrate": {summary: "Move all waiting jobs of a blueprint to its newest revision", body: `may be empty; {"dry_run", "limit", "cursor"}`, answer: "what was or would be changed, and the next cursor"},
	"GET /api/v1/uploads":                   {summary: "List the blueprint files that were uploaded", answer: "a list of files"},
	"POST /api/v1/uploads":                  {summary: "Upload blueprint files; they are checked with all others, and refused with the findings", body: `{"files": {name: text}, "dry_run"}`, answer: "what is in force now"},
	"DELETE /api/v1/uploads/*":              {summary: "Remove an uploaded file", query: "dry_run", answer: "what is in force now"},
	"POST /api/v1/admin/reload-blueprints":  {summary: "Read the blueprints' folder again", answer: "what is in force now"},
	"GET /api/v1/workers":                   {summary: "List workers", answer: "a list of workers"},
	"GET /api/v1/deliveries":                {summary: "List webhooks that were given up", query: "after", answer: "a list of deliveries"},
	"GET /api/v1/nodes":                     {summary: "List the nodes that share the store", answer: "a list of nodes"},
	"GET /api/v1/schedules":                 {summary: "List schedules with their next dates", answer: "a list of schedules"},
	"GET /api/v1/dashboard":                 {summary: "Count jobs by status, and workers", answer: `{"workers", "jobs"}`},
	"GET /api/v1/stores":                    {summary: "List data stores", answer: "a list of stores"},
	"GET /api/v1/stores/:blueprint/:store":  {summary: "Show the keys of a data store", query: "key cursor limit", answer: "its values"},
	"GET /api/v1/quota":                     {summary: "Show what is left of the client's starts in this month", answer: "used and left"},
	"POST /api/v1/admin/reload-workers":     {summary: "Read the workers' tokens again", answer: "what is in force now"},
	"POST /api/v1/admin/reload-clients":     {summary: "Read the clients again", answer: "what is in force now"},
	"POST /api/v1/admin/reload-schedules":   {summary: "Read the schedules again", answer: "what is in force now"},

	// Without a client's token.
	"GET /_public/status":                 {summary: "Say whether the server works", answer: `{"status", "version", "blueprints"}`},
	"GET /_public/metrics":                {summary: "Metrics for Prometheus", answer: "text", media: fiber.MIMETextPlain},
	"GET /_public/docs":                   {summary: "This description for people", answer: "a page", media: fiber.MIMETextHTML},
	"GET /_public/openapi.json":           {summary: "This description", answer: "OpenAPI 3.1"},
	"GET /_public/webhooks/approval/:id":  {summary: "The page behind a one-time link, with the choices", query: "token", answer: "a page", media: fiber.MIMETextHTML},
	"POST /_public/webhooks/approval/:id": {summary: "Decide by a one-time link", query: "token decision", body: `{"decision", "token"}`, answer: "what was decided"},

	// Workers.
	"POST /_worker/workers/register":          {summary: "Register a worker", body: "what it can do", answer: "it is known"},
	"GET /_worker/workers/:worker/tasks/next": {summary: "Take the next task, waiting for one for up to 30 s; 204 when there is none", query: "timeout", answer: "a task"},
	"PATCH /_worker/workers/:worker":          {summary: "Say that a worker lives, and what it works on", body: "its state; may be empty", answer: "what it shall stop"},
	"PATCH /_worker/workers/:worker/status":   {summary: "The same, at the path of later workers", body: "its state; may be empty", answer: "what it shall stop"},
	"POST /_worker/tasks/result":              {summary: "Bring the result of a task", body: "the result", answer: "it is kept"},
	"GET /_worker/tasks/:task/cancelled":      {summary: "Ask whether a task is cancelled", query: "worker_id", answer: "whether it is"},
	"POST /_worker/events":                    {summary: "Tell progress and other events", body: "the event", answer: "it is taken"},
	"POST /_worker/auth/token":                {summary: "Get a short token for the long one", body: "who asks", answer: "the token and its end"},
	"POST /_worker/auth/token/refresh":        {summary: "Get a new short token", body: "the one before", answer: "the token and its end"},
	"GET /_worker/ws":                         {summary: "Open a worker's WebSocket", answer: "it is open", code: fiber.StatusSwitchingProtocols},
	"GET /_worker/ws/:worker":                 {summary: "Open a worker's WebSocket", answer: "it is open", code: fiber.StatusSwitchingProtocols},
}
