# inputs: {"a": {"x": "int", "y": "word"}, "b": {"y": "int"}, "items": "ints"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="unpacking")
DEFAULTS = {"x": 0, "z": 26}


def describe(first, *rest, sep="/", **named):
    return sep.join([str(first)] + [str(r) for r in rest] + [f"{k}={v}" for k, v in sorted(named.items())])


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    a, b, items = (context.initial_data[k] for k in ("a", "b", "items"))
    merged = {**DEFAULTS, **a, "extra": True, **b}
    context.state_history["merged"] = merged
    context.state_history["copy"] = {**a}
    context.state_history["list"] = [*items, 0, *items]
    context.state_history["call"] = describe("p", *items, **a)
    context.state_history["call2"] = describe(*["q", "r"], sep="-", k=1)
    one = two = len(items)
    context.state_history["both"] = one + two
    m = n = []
    m.append(1)
    context.state_history["aliased"] = n
    left, right = 1, 2
    left, right = right, left
    context.state_history["swap"] = [left, right]
    (p, (q, r)) = 1, (2, 3)
    context.state_history["deep"] = p + q + r
    actions.dispatch_task("work", params={**a, "n": len(items)}, transitions={"success": "finished"})


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
