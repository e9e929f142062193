// Package api is the outside of a server: HTTP for clients, workers and people.
//
// Words:
//
//   - A route is one line of the table in routes.go: method, path, who may use it. What is
//     not in the table does not exist, and a line without an access does not start.
//   - A Client is somebody with a token and a role; a client of role client sees its own
//     jobs only, another's id is as unknown as one that never was.
//   - A Problem is an error on its way out: RFC 9457 with a stable code.
//   - The console is the page at / with its sessions; it holds no rights of its own.
//
// The web framework is imported here only. What a job is, whether it may be cancelled, who
// gets a task: all that is decided behind the small interfaces of seam.go. Who is
// authoritative: those; this package keeps counters, nothing else.
package api
