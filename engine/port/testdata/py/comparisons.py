# inputs: {"a": "int", "b": "int", "s": "word", "v": "any"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="comparisons")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    a, b = context.initial_data["a"], context.initial_data["b"]
    v = context.initial_data.get("v")
    out = context.state_history
    out["chain"] = 0 < a <= 10
    out["chain3"] = 0 <= a < b < 50
    out["none"] = v is None
    out["some"] = v is not None
    out["eq"] = a == b or a != b and not a > b
    out["in"] = context.initial_data["s"] in ("en", "de") and a not in [1, 2, 3]
    out["types"] = [isinstance(v, dict), isinstance(v, (int, float)), isinstance(v, str), isinstance(v, list), isinstance(v, bool), type(v) is dict]
    out["cond"] = "big" if a > b else "same" if a == b else "small"
    out["not_chain"] = not 0 < a < 5
    if v is True:
        out["truth"] = "yes"
    elif v:
        out["truth"] = "some"
    else:
        out["truth"] = "no"
    actions.transition_to("finished" if a >= 0 else "failed", error_message=None if a >= 0 else f"a is {a}")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
