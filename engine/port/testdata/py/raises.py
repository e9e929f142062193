# inputs: {"n": "int"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="raises")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    n = context.initial_data["n"]
    print("before")
    if n > 10:
        raise ValueError(f"{n} is too much")
    if n < 0:
        context.state_history["x"] = context.initial_data["missing"]
    if n == 0:
        print(1 // n)
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    print("after")
