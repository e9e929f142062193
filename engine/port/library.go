package port

import (
	"fmt"
	"strings"
)

// This file carries what comes from modules over: which exist under the same name, which are
// written in another way, and which a blueprint can not have.

// sameNames are members of modules that Starlark has with the same meaning.
var sameNames = map[string]string{
	"json.dumps": "json.dumps", "json.loads": "json.loads",
	"re.compile": "re.compile", "re.match": "re.match", "re.fullmatch": "re.fullmatch", "re.search": "re.search", "re.findall": "re.findall",
	"re.sub": "re.sub", "re.split": "re.split", "re.escape": "re.escape",
	"random.random": "random.random", "random.randint": "random.randint", "random.uniform": "random.uniform", "random.choice": "random.choice",
	"random.sample": "random.sample", "random.shuffle": "random.shuffle",
	"math.ceil": "math.ceil", "math.floor": "math.floor", "math.sqrt": "math.sqrt", "math.pow": "math.pow", "math.exp": "math.exp", "math.log": "math.log",
	"math.sin": "math.sin", "math.cos": "math.cos", "math.tan": "math.tan", "math.asin": "math.asin", "math.acos": "math.acos", "math.atan": "math.atan",
	"math.atan2": "math.atan2", "math.hypot": "math.hypot", "math.degrees": "math.degrees", "math.radians": "math.radians", "math.fabs": "math.fabs",
	"math.copysign": "math.copysign", "math.fmod": "math.mod", "math.pi": "math.pi", "math.e": "math.e",
	"logging.getLogger": "logging.getLogger", "logging.debug": "logging.debug", "logging.info": "logging.info", "logging.warning": "logging.warning",
	"logging.warn": "logging.warning", "logging.error": "logging.error", "logging.exception": "logging.exception", "logging.critical": "logging.critical",
	"time.time": "time.time", "uuid.uuid4": "uuid.uuid4", "os.environ.get": "env.get", "os.getenv": "env.get", "asyncio.sleep": "sleep", "time.sleep": "sleep",
}

// literals are constants of modules that are written out.
var literals = map[string]string{
	"math.inf": `float("inf")`, "math.nan": `float("nan")`, "math.tau": "2 * math.pi",
	"string.ascii_lowercase": quote("abcdefghijklmnopqrstuvwxyz"), "string.ascii_uppercase": quote("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
	"string.ascii_letters": quote("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"), "string.digits": quote("0123456789"),
	"string.hexdigits": quote("0123456789abcdefABCDEF"), "os.sep": quote("/"), "datetime.timezone.utc": quote("UTC"), "datetime.UTC": quote("UTC"),
}

// refusals are modules that a handler can not have, and what to do instead.
var refusals = map[string]string{
	"os": "handlers read and write files by task_files; a blueprint has no other files and no processes", "sys": "a blueprint has no process of its own",
	"subprocess": "dispatch a task to a worker that runs the command", "shutil": "handlers read and write files by task_files", "pathlib": "handlers read and write files by task_files",
	"tempfile": "handlers read and write files by task_files", "glob": "list files by task_files", "io": "handlers read and write files by task_files",
	"threading": "a handler runs alone; dispatch tasks that run together", "multiprocessing": "dispatch tasks that run together",
	"concurrent": "dispatch tasks that run together", "socket": "dispatch a task to a worker that connects", "smtplib": "dispatch a task to a worker that sends",
	"redis": "use a data store of the blueprint", "sqlalchemy": "use sql.connect with a database that the operator names", "pickle": "use json",
	"numpy": "dispatch a task to a worker that computes", "pandas": "dispatch a task to a worker that computes", "hashlib": "dispatch a task to a worker that computes it",
	"asyncio": "a handler runs to its end; what runs side by side are dispatched tasks",
}

// imported gives a name that comes from a module, when it is not called.
func (c *converter) imported(n *Node, path string) (string, int) {
	if text, ok := literals[path]; ok {
		if strings.Contains(text, " ") {
			return text, bindMul
		}
		return text, bindAtom
	}
	if to, ok := sameNames[path]; ok {
		return c.library(to), bindAtom
	}
	if star, ok := strings.CutPrefix(path, "load:"); ok { // a name of another converted file
		return star, bindAtom
	}
	module, member, _ := strings.Cut(path, ".")
	if module == "load!" {
		return c.fromModule(n, member), bindAtom
	}
	if contains([]string{"json", "re", "random", "math", "logging", "time", "uuid"}, path) {
		return c.library(path), bindAtom
	}
	return c.refuseModule(n, path), bindAtom
}

func (c *converter) refuseModule(n *Node, path string) string {
	module, _, _ := strings.Cut(path, ".")
	do := refusals[module]
	if do == "" {
		do = "move the call to a worker, or the code into a file that is ported too"
	}
	return c.refuse(n, path+" has no counterpart in a blueprint", do)
}

// libraryCall carries a call of an imported function over.
func (c *converter) libraryCall(n *Node, path string) (string, int) {
	args := n.List("args")
	first := argument(n, 0, "")
	module, _, _ := strings.Cut(path, ".")
	switch module {
	case "datetime":
		return c.datetimeCall(n, path)
	case "collections", "itertools", "functools", "copy", "operator", "statistics", "dataclasses":
		return c.toolCall(n, path)
	case "sqlite3", "asyncpg", "psycopg", "psycopg2":
		return c.sqlCall(n, path)
	case "httpx", "requests", "aiohttp", "urllib":
		return c.httpCall(n, path)
	}
	switch path {
	case "asyncio.sleep", "time.sleep":
		return c.sleepCall(n, first), bindAtom
	case "asyncio.gather":
		for _, k := range n.List("keywords") {
			return c.refuse(k, "what is gathered here is done one after the other, and the first failure counts", "catch failures in the function that is called"), bindAtom
		}
		if len(args) == 1 && args[0].is("Starred") {
			return c.at(args[0].At("value"), bindLambda), bindLambda
		}
		return "[" + c.list(args) + "]", bindAtom
	case "asyncio.wait_for", "asyncio.shield":
		if path == "asyncio.wait_for" {
			c.note(n, "a handler is not suspended, so a wait inside of it has no timeout of its own", "the limits of a step hold")
		}
		return c.expr(first)
	case "asyncio.to_thread":
		return c.at(first, bindAtom) + "(" + c.list(args[1:]) + ")", bindAtom
	case "logging.getLogger":
		return c.copyCall(n), bindAtom
	case "os.environ.get", "os.getenv":
		return c.library("env.get") + "(" + c.list(args) + ")", bindAtom
	case "os.path.join":
		return `"/".join([` + c.list(args) + "])", bindAtom
	case "os.path.basename":
		return c.at(first, bindAtom) + `.split("/")[-1]`, bindAtom
	case "os.path.dirname":
		return c.at(first, bindAtom) + `.rpartition("/")[0]`, bindAtom
	case "json.dumps":
		return c.dumps(n), bindAtom
	}
	if text, bind, ok := c.chanceOrMath(n, path); ok {
		return text, bind
	}
	if strings.HasPrefix(path, "re.") {
		c.pattern(n, first)
	}
	if module == "random" || path == "uuid.uuid4" || path == "time.time" {
		c.nowhere(n, path)
	}
	if sameNames[path] != "" || strings.HasPrefix(path, "load:") || strings.HasPrefix(path, "load!") {
		if text, ok := c.logCall(n, n.At("func")); ok && module == "logging" {
			return text, bindAtom
		}
		return c.copyCall(n), bindAtom
	}
	return c.refuseModule(n, path), bindAtom
}

// chanceOrMath is for functions of random and math that go by other names here.
func (c *converter) chanceOrMath(n *Node, path string) (text string, bind int, ok bool) {
	args, first := n.List("args"), argument(n, 0, "")
	switch path {
	case "random.randrange":
		if len(args) == 2 {
			return c.library("random.randint") + "(" + c.ex(args[0]) + ", " + c.at(args[1], bindAdd) + " - 1)", bindAtom, true
		}
		return c.library("random.randint") + "(0, " + c.at(first, bindAdd) + " - 1)", bindAtom, true
	case "random.choices":
		if k := argument(n, 2, "k"); k != nil && len(args) == 1 {
			return fmt.Sprintf("[%s(%s) for _ in range(%s)]", c.library("random.choice"), c.ex(first), c.ex(k)), bindAtom, true
		}
	case "math.trunc":
		return "int(" + c.ex(first) + ")", bindAtom, true
	case "math.prod", "math.fsum", "math.gcd", "math.isnan", "math.isinf", "math.factorial", "math.comb":
		if path == "math.fsum" {
			return "sum(" + c.ex(first) + ")", bindAtom, true
		}
		return c.refuse(n, path+" has no counterpart", "write the loop out"), bindAtom, true
	case "math.log2", "math.log10":
		return c.library("math.log") + "(" + c.ex(first) + ", " + strings.TrimPrefix(path, "math.log") + ")", bindAtom, true
	}
	return "", 0, false
}

// nowhere tells of what is only known while a handler runs, at the top level.
func (c *converter) nowhere(n *Node, path string) {
	if c.fn == nil {
		c.refuse(n, path+" is called when the file is loaded; the top level of a blueprint is the same on every node and has no "+path, "call it in a handler")
	}
}

// pattern refuses regular expressions that RE2 does not have.
func (c *converter) pattern(n, p *Node) {
	if !p.is("Constant") {
		return
	}
	text := p.Word("v")
	for _, x := range []struct{ has, what string }{{"(?=", "lookahead"}, {"(?!", "lookahead"}, {"(?<=", "lookbehind"}, {"(?<!", "lookbehind"}, {`\1`, "a backreference"}, {"(?P=", "a backreference"}} {
		if strings.Contains(text, x.has) {
			c.refuse(n, "the pattern has "+x.what+", which the re module here (RE2) does not", "match in two steps")
			return
		}
	}
	for _, k := range n.List("keywords") {
		if k.Word("arg") == "flags" {
			c.refuse(n, "flags are written into the pattern here", `begin the pattern with (?i), (?s) or (?m)`)
		}
	}
	if len(n.List("args")) > 1 && strings.HasPrefix(c.dotted(n.At("func")), "re.compile") {
		c.refuse(n, "flags are written into the pattern here", `begin the pattern with (?i), (?s) or (?m)`)
	}
}

// dumps carries json.dumps over; keywords that name a function can not be.
func (c *converter) dumps(n *Node) string {
	for _, k := range n.List("keywords") {
		switch k.Word("arg") {
		case "indent", "sort_keys", "ensure_ascii":
		case "default":
			c.drop(k, "only JSON values reach a handler, so there is nothing for default to do", "convert other values before")
		default:
			c.refuse(k, "json.dumps has no "+k.Word("arg")+" here", "take it out")
		}
	}
	var parts []string
	for _, a := range n.List("args") {
		parts = append(parts, c.ex(a))
	}
	for _, k := range n.List("keywords") {
		if k.Word("arg") != "default" {
			parts = append(parts, k.Word("arg")+" = "+c.ex(k.At("value")))
		}
	}
	if len(parts) == len(n.List("args"))+len(n.List("keywords")) {
		return c.copyCall(n)
	}
	return c.library("json.dumps") + "(" + strings.Join(parts, ", ") + ")"
}

// sleepCall lets short waits pass; a long one is a transition.
func (c *converter) sleepCall(n, seconds *Node) string {
	if seconds.is("Constant") {
		var s float64
		_, _ = fmt.Sscanf(seconds.Word("v"), "%g", &s)
		if s > 1 {
			return c.refuse(n, "a handler sleeps at most 1 s in all, and is never suspended", fmt.Sprintf(
				`split the handler in two states: end this one with actions.transition_to("after_the_wait", after_seconds = %s), and put what follows the wait into the handler of "after_the_wait"`, seconds.Word("v")))
		}
	} else {
		c.note(n, "a handler sleeps at most 1 s in all; a longer wait fails the step", "use actions.transition_to(state, after_seconds = ...) where it may be longer")
	}
	return c.library("sleep") + "(" + c.ex(seconds) + ")"
}

// sqlCall carries a connection over: the address goes to the configuration.
func (c *converter) sqlCall(n *Node, path string) (string, int) {
	if !strings.HasSuffix(path, ".connect") && !strings.HasSuffix(path, ".create_pool") {
		return c.refuse(n, path+" has no counterpart", `use sql.connect("name") with query and exec`), bindAtom
	}
	c.nowhere(n, path)
	c.note(n, "the address of a database belongs to the operator's configuration, scripts know its name only",
		`name it there "main", and look at each call: query gives rows, exec the number of changed ones, and every call is a transaction of its own`)
	return c.library("sql.connect") + `("main")`, bindAtom
}

// httpCall refuses what HTTP clients do: the module http is a name only so far, and a
// blueprint that fails at its first request is not carried over.
func (c *converter) httpCall(n *Node, path string) (string, int) {
	return c.refuse(n, path+": this version lets scripts make no HTTP requests; the http module refuses every call",
		"dispatch a task to a worker that makes the request"), bindAtom
}
