# inputs: {"n": "int", "tries?": "int"}
from contextlib import suppress

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="delays")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    tries = context.initial_data.get("tries", 0)
    with suppress(KeyError, ZeroDivisionError):
        context.state_history["first"] = 10 // tries
        context.state_history["second"] = context.initial_data["nowhere"]
    value = 0
    with suppress(ValueError):
        value = int("12" if tries > 3 else "x")
    context.state_history["value"] = value
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
