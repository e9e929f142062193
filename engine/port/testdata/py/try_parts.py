# inputs: {"s": "text", "n": "int", "items": "ints"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="try_parts")


def risky(n):
    if n < 0:
        raise ValueError(f"negative: {n}")
    if n == 0:
        raise KeyError("zero")
    if n > 40:
        raise RuntimeError("too much")
    return 100 // (n - 7)


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    n = context.initial_data["n"]
    trace = []
    try:
        trace.append("try")
        value = risky(n)
        trace.append("done")
    except (ValueError, KeyError) as e:
        trace.append(f"bad: {e}")
        value = -1
    except RuntimeError as error:
        trace.append(str(error))
        trace.append(type(error).__name__)
        value = -2
    except ZeroDivisionError:
        value = -3
    else:
        trace.append("else")
    finally:
        trace.append("finally")
    context.state_history["trace"] = trace
    context.state_history["value"] = value
    total = 0
    for item in context.initial_data["items"]:
        try:
            if item == 3:
                continue
            if item > 15:
                break
            total += risky(item)
        except Exception:
            total -= 1
    context.state_history["total"] = total
    actions.transition_to("check")


@bp.handler_for("check")
async def check(context, actions):
    try:
        checked = int(context.initial_data["s"])
        context.state_history["checked"] = checked
        if checked > 40:
            actions.transition_to("failed", error_message="large")
            return
        actions.transition_to("finished")
    except ValueError:
        actions.transition_to("failed", error_message="no number")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
