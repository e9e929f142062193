# inputs: {"v": [1, 2, 3, "a", "b", null, true, [1, 2], [1, 2, 3], [], {"type": "x", "n": 4}, {"type": "y"}, {"type": "x", "n": 40}, 2.5]}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="match_statement")


def classify(value):
    match value:
        case None:
            return "none"
        case True:
            return "true"
        case 1 | 2:
            return "small"
        case int(n) if n > 2:
            return f"int {n}"
        case "a":
            return "letter"  # of one
        case str():
            return "text"
        case [x, y]:
            return f"pair {x} {y}"
        case [first, *rest]:
            return f"list {first} {len(rest)}"
        case {"type": "x", "n": n} if n > 10:
            return f"large x {n}"
        case {"type": "x", "n": n}:
            return f"x {n}"
        case {"type": kind}:
            return f"kind {kind}"
        # whatever is left
        case _:
            return "other"


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    context.state_history["class"] = classify(context.initial_data["v"])
    match context.initial_data["v"]:
        case "b":
            actions.transition_to("failed")
        case _:
            actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
