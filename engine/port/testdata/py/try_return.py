# inputs: {"s": "text", "n": "int", "d": {"k?": "any"}}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="try_return")


def to_int(text, default=0):
    try:
        return int(text)
    except ValueError:
        return default


def lookup(d, key):
    try:
        value = d[key]
        if value is None:
            return "nothing"
    except KeyError:
        return "missing"
    return f"got {value}" if isinstance(value, str) else "other"


def cleanup(log, n):
    try:
        log.append("begin")
        if n > 5:
            return "early"
        log.append(10 // n)
    finally:
        log.append("end")
    return "late"


def nested(n):
    try:
        try:
            return 10 // n
        except ZeroDivisionError:
            raise ValueError("inner")
    except ValueError as e:
        return f"outer {e}"


def again(n):
    try:
        return 10 // n
    except ZeroDivisionError:
        if n == 0:
            raise
        return 0


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    n = context.initial_data["n"]
    log = []
    context.state_history["int"] = to_int(context.initial_data["s"], default=-1)
    context.state_history["look"] = lookup(context.initial_data["d"], "k")
    context.state_history["nested"] = nested(n)
    try:
        context.state_history["clean"] = cleanup(log, n)
    except ZeroDivisionError:
        context.state_history["clean"] = "zero"
    context.state_history["log"] = log
    try:
        again(n)
    except Exception as e:
        context.state_history["again"] = type(e).__name__
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
