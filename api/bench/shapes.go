package bench

import "fmt"

// This file lists the shapes of load.

// shape is one kind of load: what a job of it is, and what is there before it.
type shape struct {
	name    string
	help    string
	tasks   int  // results that a job takes
	branch  bool // its tasks run side by side
	source  string
	jobs    int // a round, by default
	rounds  int // by default; 0: five
	clients int // 0: as asked
	workers int // 0: as asked
	lone    bool
	backlog bool // all jobs are created before a worker polls
	aged    int  // finished jobs that are in the store before
	wake    bool // the worker polls at one node, the jobs are created at another

	// commits of a job, for the store's own limit; 0: that was not counted. Counted on Redis,
	// INFO commandstats: one creates the job and dispatches its first task, one takes each
	// result and goes on.
	commits int
}

const echoSource = `echo = blueprint(name = "%[1]s", api_version = "v1", api_endpoint = "jobs/%[1]s")

def start(context, actions):
    actions.dispatch_task(task_type = "bench_echo", params = context.initial_data, transitions = {"success": "finished"})

echo.handler_for("start", is_start = True)(start)
`

const pipelineSource = `pipeline = blueprint(name = "%[1]s", api_version = "v1", api_endpoint = "jobs/%[1]s")

def stage(next):
    def dispatch(context, actions):
        actions.dispatch_task(task_type = "bench_echo", params = context.initial_data, transitions = {"success": next})
    return dispatch

pipeline.handler_for("a", is_start = True)(stage("b"))
pipeline.handler_for("b")(stage("c"))
pipeline.handler_for("c")(stage("d"))
pipeline.handler_for("d")(stage("e"))
pipeline.handler_for("e")(stage("finished"))
`

const fanoutSource = `fanout = blueprint(name = "%[1]s", api_version = "v1", api_endpoint = "jobs/%[1]s")

def start(context, actions):
    for i in range(50):
        actions.dispatch_task(task_type = "bench_echo", params = {"i": i}, transitions = {"success": "join"})

def join(context, actions):
    context.state_history["joined"] = len(context.aggregation_results)
    actions.transition_to("finished")

fanout.handler_for("start", is_start = True)(start)
fanout.aggregator_for("join")(join)
`

const scriptedSource = `scripted = blueprint(name = "%[1]s", api_version = "v1", api_endpoint = "jobs/%[1]s")

def work():
    total = 0
    for i in range(100):
        total += i
    return total

def start(context, actions):
    context.state_history["total"] = work()
    actions.dispatch_task(task_type = "bench_echo", params = context.initial_data, transitions = {"success": "last"})

def last(context, actions):
    context.state_history["again"] = work()
    actions.transition_to("finished")

scripted.handler_for("start", is_start = True)(start)
scripted.handler_for("last")(last)
`

var shapes = []shape{
	{name: "echo", help: "create, one task, end; many at once", tasks: 1, source: echoSource, jobs: 4000, commits: 2},
	{name: "lone", help: "one job at a time", tasks: 1, source: echoSource, jobs: 300, clients: 1, workers: 1, lone: true, commits: 2},
	{name: "pipeline", help: "five tasks in a row", tasks: 5, source: pipelineSource, jobs: 1000, commits: 6},
	{name: "fanout", help: "fifty branches and an aggregator", tasks: 50, branch: true, source: fanoutSource, jobs: 100},
	{name: "scripted", help: "handlers of a thousand steps", tasks: 1, source: scriptedSource, jobs: 4000, commits: 2},
	{name: "crowd", help: "a thousand workers polling", tasks: 1, source: echoSource, jobs: 4000, workers: 1000},
	{name: "wake", help: "one job at a time, its worker at another node: how long until it has the task", tasks: 1, source: echoSource, jobs: 300, clients: 1, workers: 1, lone: true, wake: true},
	{name: "backlog", help: "100,000 jobs queued before the first worker polls", tasks: 1, source: echoSource, jobs: 100_000, rounds: 1, backlog: true},
	{name: "aged", help: "1,000,000 finished jobs in the store", tasks: 1, source: echoSource, jobs: 4000, aged: 1_000_000},
}

// Shapes lists the kinds of load, each with what it is.
func Shapes() (names []string, help map[string]string) {
	help = map[string]string{}
	for _, s := range shapes {
		names = append(names, s.name)
		help[s.name] = s.help
	}
	return names, help
}

func shapeNamed(name string) (shape, error) {
	for _, s := range shapes {
		if s.name == name {
			return s, nil
		}
	}
	names, _ := Shapes()
	return shape{}, fmt.Errorf("there is no shape %q; choose one of %v", name, names)
}

// endpoint is what follows /api/v1/jobs/, and the blueprint's name.
func (s shape) endpoint() string { return "bench_" + s.name }

func (s shape) blueprint() string { return fmt.Sprintf(s.source, s.endpoint()) }
