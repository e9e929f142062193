# inputs: {"s": "text", "n": "int"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="try_partial")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    result = None
    stage = "none"
    try:
        stage = "parse"
        result = int(context.initial_data["s"])
        stage = "divide"
        result = 100 // (result - 42)
        stage = "done"
    except ValueError:
        print("value", stage, result)
    except ZeroDivisionError:
        print("zero", stage, result)
    print(stage, result)
    count = 0
    for word in context.initial_data["s"].split(","):
        try:
            count += 1
            count += len(word) // context.initial_data["n"]
        except ZeroDivisionError:
            pass
    context.state_history["count"] = count
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
