package api

import (
	"cmp"
	"fmt"
	"strings"
)

// This file holds what requests may bring, and says which limit one has broken.

// Limits bounds what requests may bring, and how much of it is in work at once; zero fields
// take the default.
type Limits struct {
	Body    int // bytes of a body, packed and unpacked; 8 MiB
	Strange int // bytes of a body from somebody who has shown no token; 64 KiB
	Bodies  int // bytes of all larger bodies of clients at once, more are answered 503; 512 MiB
	Depth   int // objects and lists in each other, in a body; 100
	Frame   int // bytes of one WebSocket frame; 1 MiB
	Uploads int // files on their way in at once, more are answered 503; 32
	Creates int // starts of jobs in flight, more are answered 503; 1,000
	Backlog int // jobs whose next step waits; with more, starts are held and then answered 503; 20,000
}

// DefaultLimits are what stands when the operator says nothing.
//
// Accepting a job is cheaper than running it, so more can come in than gets done. A job whose
// step waits costs some 3 KiB: the default backlog is a few seconds of work.
func DefaultLimits() Limits {
	return Limits{
		Body: 8 << 20, Strange: 64 << 10, Bodies: 512 << 20, Depth: 100, Frame: 1 << 20,
		Uploads: 32, Creates: 1000, Backlog: 20_000,
	}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	l = Limits{
		Body: cmp.Or(l.Body, d.Body), Strange: cmp.Or(l.Strange, d.Strange), Bodies: cmp.Or(l.Bodies, d.Bodies), Depth: cmp.Or(l.Depth, d.Depth),
		Frame: cmp.Or(l.Frame, d.Frame), Uploads: cmp.Or(l.Uploads, d.Uploads), Creates: cmp.Or(l.Creates, d.Creates), Backlog: cmp.Or(l.Backlog, d.Backlog),
	}
	l.Strange = min(l.Strange, l.Body)
	return l
}

// Names of the limits, as the operator sets them (cli/config).
const (
	LimitBody    = "body_mib"
	LimitStrange = "open_body_kib"
	LimitBodies  = "bodies_mib"
	LimitDepth   = "json_depth"
	LimitFrame   = "frame_kib"
	LimitUploads = "uploads"
	LimitCreates = "starts"
	LimitBacklog = "backlog"
)

// broken refuses what asks for more than a limit allows. what says so up to the limit, advice
// what to do; asked is what it asked for, 0 when only that is known.
func broken(code, limit string, most, asked int64, what, advice string) *Problem {
	p := problem(code, fmt.Sprintf("%s; the limit of %d is ORRERY_LIMIT_%s: %s", what, most, strings.ToUpper(limit), advice))
	p.with("limit", limit).with("value", most)
	if asked > 0 {
		p.with("asked", asked)
	}
	return p
}

// tooLarge refuses a body for its bytes; asked 0: it came in parts, and nobody counted them all.
func tooLarge(limit string, most, asked int) *Problem {
	what := "the request's body has more bytes than it may"
	if asked > 0 {
		what = fmt.Sprintf("the request's body has %d bytes", asked)
	}
	return broken(codeTooLarge, limit, int64(most), int64(asked), what, "send less, or put large data into files")
}

// tooDeep refuses JSON whose objects and lists stand in each other; it is not read to its end.
func tooDeep(most int) *Problem {
	return broken(codeBadJSON, LimitDepth, int64(most), int64(most)+1, fmt.Sprintf("objects and lists nest %d deep or more", most+1), "send flatter data")
}

// overloaded refuses what would be too much at once.
func overloaded(limit, what string, most int64) *Problem {
	return broken(codeOverloaded, limit, most, 0, "the server does all that it may at once: "+what, "try again after Retry-After")
}
