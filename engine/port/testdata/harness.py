# Runs Python blueprints with plain objects in the library's place and records, step by step,
# what each handler was given and what it did. The Go test lets the ported blueprint take the
# same steps and compares.
import asyncio
import builtins
import json
import logging
import random
import re
import sys
import types

LOG = []
REAL_PRINT = print
LOOP = asyncio.new_event_loop()


def fake_print(*values, sep=" ", **_):
    LOG.append(["info", sep.join(str(v) for v in values)])


class Capture(logging.Handler):
    def emit(self, record):
        level = {"CRITICAL": "error"}.get(record.levelname, record.levelname.lower())
        LOG.append([level, record.getMessage()])


class Store:
    def __init__(self, initial=None):
        self.data = dict(initial or {})

    async def get(self, key, default=None):
        value = self.data.get(key, default)
        return json.loads(json.dumps(value))

    async def set(self, key, value):
        self.data[key] = json.loads(json.dumps(value))


class Filter:
    """F of the later family: a path, compared and combined."""

    def __init__(self, read):
        self.read = read

    def __getattr__(self, name):
        return Filter(lambda c: step(self.read(c), name))

    def __getitem__(self, key):
        return Filter(lambda c: step(self.read(c), key))

    def compare(self, other, test):
        def read(c):
            value = self.read(c)
            return value is not MISSING and value is not None and test(value, other)

        return Filter(read)

    def __eq__(self, other):
        return self.compare(other, lambda a, b: a == b)

    def __ne__(self, other):
        return self.compare(other, lambda a, b: a != b)

    def __lt__(self, other):
        return self.compare(other, lambda a, b: a < b)

    def __le__(self, other):
        return self.compare(other, lambda a, b: a <= b)

    def __gt__(self, other):
        return self.compare(other, lambda a, b: a > b)

    def __ge__(self, other):
        return self.compare(other, lambda a, b: a >= b)

    def in_(self, values):
        return self.compare(values, lambda a, b: a in b)

    def __and__(self, other):
        return Filter(lambda c: truth(self, c) and truth(other, c))

    def __or__(self, other):
        return Filter(lambda c: truth(self, c) or truth(other, c))

    def __invert__(self):
        return Filter(lambda c: not truth(self, c))


MISSING = object()


def truth(f, c):
    value = f.read(c)
    return value is not MISSING and bool(value)


def step(value, key):
    if value is MISSING or value is None:
        return MISSING
    if isinstance(value, dict):
        return value.get(key, MISSING)
    return getattr(value, key, MISSING)


OLD = re.compile(r"context\.(\w+)\.(\w+)\s*(>=|<=|==|!=|>|<)\s*(.*)")


def old_condition(text):
    area, field, op, raw = OLD.match(text.strip()).groups()
    raw = raw.strip().strip("'\"")
    value = raw
    for kind in (int, float):
        try:
            value = kind(raw)
            break
        except ValueError:
            pass
    value = {"True": True, "False": False}.get(raw, value)
    tests = {"==": lambda a: a == value, "!=": lambda a: a != value, ">": lambda a: a > value,
             "<": lambda a: a < value, ">=": lambda a: a >= value, "<=": lambda a: a <= value}

    def read(context):
        data = getattr(context, area)
        return field in data and data[field] is not None and tests[op](data[field])

    return Filter(read)


class Registration:
    def __init__(self, bp, state, start, end, condition=None):
        self.bp, self.state, self.start, self.end, self.condition = bp, state, start, end, condition

    def when(self, condition):
        self.condition = old_condition(condition)
        return self

    def __call__(self, fn):
        state = self.state or fn.__name__
        self.bp.table.setdefault(state, []).append((self.condition, fn))
        if self.start:
            self.bp.start = state
        if self.end:
            self.bp.ends.add(state)
        return fn


class Blueprint:
    made = []

    def __init__(self, name, api_endpoint=None, api_version=None, data_stores=None):
        self.name, self.table, self.start, self.ends = name, {}, None, set()
        self.stores = {k: v if isinstance(v, Store) else Store(v) for k, v in (data_stores or {}).items()}
        Blueprint.made.append(self)

    def add_data_store(self, name, initial):
        self.stores[name] = Store(initial)

    def handler_for(self, state, is_start=False, is_end=False):
        return Registration(self, state, is_start, is_end)

    def handler(self, *args, is_start=False, is_end=False, condition=None):
        state = None
        for a in args:
            if isinstance(a, str):
                state = a
            elif isinstance(a, Filter):
                condition = a
            else:
                return Registration(self, None, is_start, is_end)(a)
        return Registration(self, state, is_start, is_end, condition)

    def aggregator_for(self, state):
        return Registration(self, state, False, False)

    def aggregator(self, state=None):
        if callable(state):
            return Registration(self, None, False, False)(state)
        return Registration(self, state, False, False)

    def validate(self):
        pass


class Actions:
    def __init__(self):
        self.done, self.updates = [], {}

    def transition_to(self, state, error_message=None, after_seconds=None):
        self.done.append({"kind": "transition", "target": state, "error_message": error_message or "", "after": after_seconds or 0})

    def go_to(self, state):
        self.transition_to(state)

    def task(self, task_type=None, params=None, transitions=None, type=None, **rest):
        out = {"task_type": task_type or type, "params": params or {}, "transitions": transitions or {}}
        for key in ("priority", "max_cost", "dispatch_strategy", "resource_requirements", "timeout_seconds", "result_timeout_seconds", "dispatch_timeout_seconds"):
            if rest.get(key):
                out[key] = "%g" % rest[key] if isinstance(rest[key], (int, float)) else rest[key]
        return out

    def dispatch_task(self, task_type, params=None, transitions=None, **rest):
        self.done.append({"kind": "dispatch", **self.task(task_type, params, transitions, **rest)})

    def dispatch_parallel(self, tasks, aggregate_into):
        self.done.append({"kind": "parallel", "into": aggregate_into, "tasks": [self.task(**t) for t in tasks]})

    def run_blueprint(self, blueprint_name, initial_data=None, transitions=None, **_):
        self.done.append({"kind": "child", "blueprint": blueprint_name, "initial_data": initial_data or {}, "transitions": transitions or {}})

    def await_human_approval(self, integration, message="", transitions=None, **_):
        self.done.append({"kind": "approval", "integration": integration, "message": message, "transitions": transitions or {}})

    def update_context(self, updates):
        self.updates.update(updates)

    def send_event(self, name, payload, **_):
        LOG.append(["info", "event %s: %s" % (name, json.dumps(payload, separators=(",", ":"), ensure_ascii=False))])


class Bag(types.SimpleNamespace):
    pass


def install():
    logging.getLogger().addHandler(Capture())
    logging.getLogger().setLevel(logging.DEBUG)
    logging.getLogger("asyncio").disabled = True
    for root in ("orchestrator", "avtomatika"):
        for name in (root, root + ".blueprint", root + ".context", root + ".datastore"):
            module = types.ModuleType(name)
            module.Blueprint = module.StateMachineBlueprint = Blueprint
            module.F = Filter(lambda c: c)
            module.AsyncDictStore = Store
            module.ActionFactory = module.JobContext = object
            sys.modules[name] = module

    async def no_sleep(*_):
        return None

    asyncio.sleep = no_sleep


WORDS = ["alpha", "beta", "gamma", "delta", "en", "de", "x", "", "Two words", "a,b,c", "42", "-7", "3.5", "UPPER", "trailing ", "%s {} 'q' \"d\""]


def make(rng, kind):
    if isinstance(kind, list):
        return rng.choice(kind)
    if isinstance(kind, dict):
        return {k: v for k, v in ((k.rstrip("?"), make(rng, v)) for k, v in kind.items() if not (k.endswith("?") and rng.random() < 0.3))}
    simple = {
        "int": lambda: rng.choice([0, 1, 2, 3, 5, 7, 10, 42, 99, -1, -13]),
        "float": lambda: rng.choice([0.0, 0.5, 1.0, 2.25, -3.75, 99.9, 1234.5678]),
        "text": lambda: rng.choice(WORDS),
        "word": lambda: rng.choice(WORDS[:7]),
        "bool": lambda: rng.random() < 0.5,
        "ints": lambda: [rng.randint(-5, 20) for _ in range(rng.randint(0, 6))],
        "words": lambda: [rng.choice(WORDS[:7]) for _ in range(rng.randint(0, 6))],
        "any": lambda: rng.choice([None, True, 7, 2.5, "text", [1, "a"], {"k": "v"}]),
    }
    if kind.startswith("list:"):
        inner = json.loads(kind[5:])
        return [make(rng, inner) for _ in range(rng.randint(0, 5))]
    return simple[kind]()


def header(text, word, default):
    m = re.search(r"^# %s: (.*)$" % word, text, re.M)
    return json.loads(m.group(1)) if m else default


def call(fn, context, actions):
    values = dict(vars(context), context=context, actions=actions)
    args = {}
    names = fn.__code__.co_varnames[: fn.__code__.co_argcount + fn.__code__.co_kwonlyargcount]
    defaults = fn.__defaults__ or ()
    with_default = names[fn.__code__.co_argcount - len(defaults): fn.__code__.co_argcount]
    for name in names:
        if name in values:
            args[name] = values[name]
        elif name in context.state_history:
            args[name] = context.state_history[name]
        elif name in context.initial_data:
            args[name] = context.initial_data[name]
        elif name not in with_default:
            raise TypeError("no value for " + name)
    result = fn(**args)
    if asyncio.iscoroutine(result):
        LOOP.run_until_complete(result)


def stored(bp, namespace):
    """What is kept outside of the job: data stores, and the module's own values."""
    out = {k: s.data for k, s in bp.stores.items()}
    own = {}
    for name, value in namespace.items():
        if name.startswith("_") or callable(value) or isinstance(value, types.ModuleType):
            continue
        try:
            own[name] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            pass
    out["module_state"] = own
    return json.loads(json.dumps(out))


def walk(bp, text, rng, namespace):
    """Takes one job from its start and gives its steps."""
    initial = make(rng, header(text, "inputs", {"n": "int"}))
    outcome = header(text, "outcome", {"value": "int"})
    history, results, state, steps = {}, {}, bp.start, []
    for _ in range(12):
        given = {"state": state, "initial_data": initial, "state_history": json.loads(json.dumps(history)), "results": results,
                 "stores": stored(bp, namespace)}
        actions = Actions()
        context = Bag(job_id="job-1", initial_data=json.loads(json.dumps(initial)), state_history=json.loads(json.dumps(history)), actions=actions,
                      aggregation_results=json.loads(json.dumps(results)), data_stores=Bag(**bp.stores), current_state=state,
                      client=Bag(id="c-1", plan="free", config={"plan": "free", "languages": ["en"]}, params={"plan": "free", "languages": ["en"]}),
                      task_files=None)
        LOG.clear()
        did = {"error": None}
        try:
            fn = next((f for c, f in bp.table[state] if c is not None and truth(c, context)), None)
            fn = fn or next(f for c, f in bp.table[state] if c is None)
            call(fn, context, actions)
            context.state_history.update(actions.updates)
            if len({a["kind"] for a in actions.done}) > 1 or not actions.done and state not in bp.ends or actions.done and state in bp.ends:
                raise RuntimeError("actions")
            did.update(actions=actions.done, state_history=json.loads(json.dumps(context.state_history)))
        except Exception as e:
            did["error"] = type(e).__name__
        did["log"] = [list(x) for x in LOG]
        did["stores"] = stored(bp, namespace)
        steps.append({"given": given, "did": did})
        if did["error"] or state in bp.ends:
            break
        history, results = json.loads(json.dumps(did["state_history"])), {}
        state = follow(did["actions"], history, results, outcome, rng)
        if state not in bp.table:
            break
    return steps


def follow(actions, history, results, outcome, rng):
    first = actions[0]
    if first["kind"] == "transition":
        return first["target"]
    if first["kind"] == "parallel" or first["kind"] == "dispatch" and len(actions) > 1:
        tasks = first.get("tasks", actions)
        for i, t in enumerate(tasks):
            results["task-%d" % i] = {"status": "success", "data": make(rng, outcome), "task_type": t["task_type"]}
        return first.get("into") or first["transitions"]["success"]
    key = rng.choice(sorted(first["transitions"]))
    if first["kind"] == "dispatch":
        history.update(make(rng, outcome))
    return first["transitions"][key]


def main():
    install()
    request = json.load(sys.stdin)
    out = {}
    for name, text in request["files"].items():
        Blueprint.made = []
        namespace = {"__name__": name.rsplit("/", 1)[-1][: -len(".py")]}
        builtins.print = fake_print
        try:
            exec(compile(text, name, "exec"), namespace)
            rng = random.Random(name + str(request["seed"]))
            jobs = []
            for bp in Blueprint.made:
                for _ in range(request["jobs"]):
                    jobs.append({"blueprint": bp.name, "steps": walk(bp, text, rng, namespace)})
            out[name] = {"jobs": jobs}
        except Exception as e:
            out[name] = {"fault": "%s: %s" % (type(e).__name__, e)}
        finally:
            builtins.print = REAL_PRINT
    json.dump(out, sys.stdout)


main()
