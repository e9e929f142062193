# inputs: {"n": "int", "format": "word"}
import os
import time

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="shadowing")


def load(struct, json=1):
    return struct + json


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    env = os.environ.get("ORRERY_TEST_ENV", "test")
    sleep = load(1, json=2)
    text = context.initial_data["format"]
    context.state_history["x"] = f"{env:>6}|{sleep:03d}|{text:<8}|"
    try:
        catch = 10 // context.initial_data["n"]
        attempt = catch + 1
    except ZeroDivisionError:
        catch = attempt = 0
    context.state_history["y"] = [catch, attempt]
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
