# inputs: {"n": "int"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="applied")


async def begin(actions, context):
    actions.transition_to("middle")


def middle(context, actions):
    actions.transition_to("last" if context.initial_data["n"] else "finished")


async def middle_large(context, actions):
    print("large")
    actions.transition_to("finished")


bp.handler_for("start", is_start=True)(begin)
bp.handler_for("middle").when("context.initial_data.n > 9")(middle_large)
bp.handler_for("middle")(middle)


# two handlers of one name
@bp.handler_for("last")
async def step(context, actions):
    print("first step")
    actions.transition_to("very_last")


@bp.handler_for("very_last")
async def step(context, actions):
    print("second step")
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def end(context):
    pass


bp.validate()
