# inputs: {"s": "text", "d": {"k?": "int"}}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="try_simple")


def parse(text):
    return int(text)


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    s = context.initial_data["s"]
    try:
        # a number is wanted
        number = parse(s)
    except ValueError:
        print("no number")  # said once
        actions.transition_to("failed")
        return
    try:
        k = context.initial_data["d"]["k"]
    except KeyError:
        k = -1
    context.state_history["k"] = k + number
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
