package api

import (
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"

	"orrery/api/peers"
)

// This file is the one table of routes: method, path, who may, what happens.

// route is one line of the table. do gets the client, or nil where access names none.
type route struct {
	method, path string
	need         access
	do           func(c *fiber.Ctx, who *Client) error
}

// hasHead reports whether the line answers HEAD too: not where a request holds the line or
// takes a task.
func (r route) hasHead() bool {
	return r.method == get && r.need&worker == 0 && !strings.HasSuffix(r.path, "/events")
}

const (
	anyEndpoint = "/api/*"

	get   = fiber.MethodGet
	post  = fiber.MethodPost
	put   = fiber.MethodPut
	patch = fiber.MethodPatch
	del   = fiber.MethodDelete
)

// table lists every route. Order matters where a path of one line fits another: the fixed
// ones come before the line that takes any endpoint of a blueprint.
func (s *Server) table() []route { return slices.Concat(s.clientRoutes(), s.openRoutes()) }

// clientRoutes are those that need a client's token.
func (s *Server) clientRoutes() []route {
	return []route{
		// Jobs. A client sees its own only; the handlers ask for that.
		{get, "/api/v1/jobs", everyone, s.listJobs},
		{get, "/api/v1/jobs/quarantined", watchers, s.listQuarantined},
		{get, "/api/v1/jobs/:id", everyone, s.getJob},
		{post, "/api/v1/jobs/:id/cancel", creators | atOwner, s.cancelJob},
		{post, "/api/v1/jobs/:id/retry", keepers, s.retryJob},
		{post, "/api/v1/jobs/:id/close", keepers, s.closeJob},
		{post, "/api/v1/jobs/:id/approve", deciders, s.approveJob},
		{post, "/api/v1/jobs/:id/migrate", keepers | atOwner, s.migrateJob},
		{post, "/api/v1/jobs/:id/redeliver", keepers | atOwner, s.redeliver},
		{get, "/api/v1/jobs/:id/history", everyone, s.jobHistory},
		{get, "/api/jobs/:id/history", everyone, s.jobHistory},
		{get, "/api/v1/jobs/:id/results", everyone, s.jobResults},
		{get, "/api/v1/jobs/:id/why", everyone | atOwner, s.jobWhy},
		{get, "/api/v1/jobs/:id/graph", everyone, s.jobGraph},
		{get, "/api/v1/jobs/:id/events", everyone, s.jobEvents},

		// Files of a job. Content goes through the server; the others give signed URLs.
		{get, "/api/v1/jobs/:id/files", everyone, s.listFiles},
		{get, "/api/v1/jobs/:id/files/upload", creators, s.fileUploadURL},
		{get, "/api/v1/jobs/:id/files/download/*", everyone, s.fileDownload},
		{get, "/api/v1/jobs/:id/files/content/*", everyone | signed, s.fileRead},
		{put, "/api/v1/jobs/:id/files/content/*", creators | signed | ownBody, s.fileWrite},

		// What runs here.
		{get, "/api/v1/approvals", roleApprover | watchers, s.listApprovals},
		{get, "/api/v1/blueprints", everyone, s.listBlueprints},
		{get, "/api/v1/blueprints/:name/graph", everyone, s.blueprintGraph},
		{get, "/api/v1/blueprints/:name", everyone, s.showBlueprint},
		{get, "/api/v1/blueprints/:name/versions", watchers, s.blueprintVersions},
		{get, "/api/v1/blueprints/:name/diff", watchers, s.blueprintDiff},
		{get, "/api/v1/blueprints/:name/source", watchers, s.blueprintSource},
		{post, "/api/v1/blueprints/:name/migrate", keepers, s.migrateAll},
		{get, "/api/v1/uploads", watchers, s.listUploads},
		{post, "/api/v1/uploads", roleAdmin, s.upload},
		{del, "/api/v1/uploads/*", roleAdmin, s.removeUpload},
		{post, "/api/v1/admin/reload-blueprints", keepers, s.reloadBlueprints},
		{get, "/api/v1/workers", watchers, s.listWorkers},
		{get, "/api/v1/deliveries", watchers, s.listDeliveries},
		{get, "/api/v1/nodes", watchers, s.listNodes},
		{get, "/api/v1/schedules", watchers, s.listSchedules},
		{get, "/api/v1/dashboard", watchers, s.dashboard},
		{get, "/api/v1/stores", watchers, s.listStores},
		{get, "/api/v1/stores/:blueprint/:store", watchers, s.storeEntries},
		{get, "/api/v1/quota", everyone, s.showQuota},
		{post, "/api/v1/admin/reload-workers", keepers, s.reloadWorkers},
		{post, "/api/v1/admin/reload-clients", keepers, s.reloadClients},
		{post, "/api/v1/admin/reload-schedules", keepers, s.reloadSchedules},
	}
}

// openRoutes are those where something else than a client's token counts, and the line that
// takes any endpoint of a blueprint, which comes last.
func (s *Server) openRoutes() []route {
	return []route{
		// Without a client's token.
		{get, "/_public/status", public, s.status},
		{get, "/_public/metrics", local | watchers, s.metricsText},
		{get, "/_public/docs", public, s.docsPage},
		{get, "/_public/openapi.json", public, s.openapi},
		{get, "/_public/webhooks/approval/:id", public, s.approvalPage},
		{post, "/_public/webhooks/approval/:id", public, s.approvalDecide},

		// Workers: the hub checks their token.
		{post, "/_worker/workers/register", worker, s.workerRegister},
		{get, "/_worker/workers/:worker/tasks/next", worker, s.workerPoll},
		{patch, "/_worker/workers/:worker", worker, s.workerHeartbeat},
		{patch, "/_worker/workers/:worker/status", worker, s.workerHeartbeat},
		{post, "/_worker/tasks/result", worker, s.workerResult},
		{get, "/_worker/tasks/:task/cancelled", worker, s.workerCancelled},
		{post, "/_worker/events", worker, s.workerEvent},
		{post, "/_worker/auth/token", worker, s.workerToken},
		{post, "/_worker/auth/token/refresh", worker, s.workerRefresh},
		{get, "/_worker/ws", worker, s.workerSocket},
		{get, "/_worker/ws/:worker", worker, s.workerSocket},

		// Other nodes of the store.
		{post, peers.Path + ":word", fellow, s.nodeMessage},

		// The console: its handlers ask for a session.
		{get, "/", page, s.pageHome},
		{get, "/jobs/:id", page, s.pageJob},
		{get, "/jobs/:id/graph.svg", page, s.pageJobPicture},
		{get, "/blueprints", page, s.pageBlueprints},
		{post, "/blueprints/reload", page, s.pageReload},
		{get, "/blueprints/:name", page, s.pageBlueprint},
		{get, "/blueprints/:name/graph.svg", page, s.pagePicture},
		{get, "/blueprints/:name/diff", page, s.pageDiff},
		{get, "/stores", page, s.pageStores},
		{get, "/stores/:blueprint/:store", page, s.pageStore},
		{post, "/login", page, s.pageLogin},
		{post, "/logout", page, s.pageLogout},
		{post, "/start/:name", page, s.pageStart},
		{post, "/jobs/:id/:action", page, s.pageAct},

		// Every blueprint's endpoint; last, because it takes whatever is left.
		{post, anyEndpoint, creators, s.createJob},
	}
}

// methodsOf lists the methods of the table's lines that fit a path, sorted; nil when no
// line does. A path under /api/ that belongs to no blueprint fits no line by its being there.
func (s *Server) methodsOf(path string) (methods []string) {
	for _, r := range s.lines {
		fits := matches(r.path, path)
		if r.path == anyEndpoint {
			fits = s.isEndpoint(path)
		}
		if !fits || slices.Contains(methods, r.method) {
			continue
		}
		methods = append(methods, r.method)
		if r.hasHead() {
			methods = append(methods, fiber.MethodHead)
		}
	}
	slices.Sort(methods)
	return methods
}

// matches reports whether a path fits the pattern of a line, segment by segment.
func matches(pattern, path string) bool {
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if last := len(want) - 1; want[last] == "*" && len(got) > last { // the rest, with its slashes
		want, got = want[:last], got[:last]
	}
	if len(want) != len(got) {
		return false
	}
	for i, w := range want {
		if w != got[i] && (!strings.HasPrefix(w, ":") || got[i] == "") {
			return false
		}
	}
	return true
}

// isEndpoint reports whether a blueprint is started at the path.
func (s *Server) isEndpoint(path string) bool {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(path, "/"), "/api/")
	if !ok {
		return false
	}
	version, endpoint, _ := strings.Cut(rest, "/")
	_, versioned := s.prints.ByEndpoint(version, endpoint)
	_, plain := s.prints.ByEndpoint("", rest)
	return versioned || plain
}

// wrongMethod answers a method that a known path has not got.
func wrongMethod(method string, known []string) *Problem {
	allow := strings.Join(known, ", ")
	p := problem(codeMethod, "this path does not know "+method+"; it knows "+allow)
	p.Headers = map[string]string{fiber.HeaderAllow: allow}
	return p
}
