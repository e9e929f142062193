# inputs: {"s": "text", "items": "ints"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="slices")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    s = context.initial_data["s"]
    items: list = context.initial_data["items"]
    context.state_history.update({"a": s[:3], "b": s[-2:], "c": s[::2], "d": items[1:], "e": items[::-1], "f": items[-1:], "g": s[1:-1]})
    context.state_history["starts"] = s.startswith(("a", "b", "x"))
    context.state_history["parts"] = s.split(",")
    context.state_history["strip"] = s.strip().lower().replace("a", "4")
    context.state_history["count"] = s.count("a") + items.count(3)
    context.state_history["pad"] = [s.ljust(8), s.rjust(8, "."), s[1:].replace("-", "").zfill(8), s.center(10, "*")]
    context.state_history["short"] = context.job_id[:4]
    context.state_history["find"] = s.find("t")
    context.state_history["digits"] = [s.isdigit(), s.isalpha(), s.isupper()]
    first, *rest = [1, 2, 3] + items
    context.state_history["rest"] = [first, rest]
    *head, last = items + [9]
    context.state_history["head"] = [head, last]
    x, _, z = ("p", "q", "r")
    context.state_history["xz"] = x + z
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
