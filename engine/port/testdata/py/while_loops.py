# inputs: {"n": "int", "items": "ints"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="while_loops")


def collatz(n):
    steps = 0
    while n > 1:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    context.state_history["steps"] = collatz(context.initial_data["n"])
    queue = list(context.initial_data["items"])
    seen = []
    while queue:
        item = queue.pop(0)
        if item < 0:
            continue
        seen.append(item)
        if len(seen) > 3:
            break
    else:
        seen.append("all")
    context.state_history["seen"] = seen
    while True:
        if len(seen) >= 5:
            break
        seen.append(0)
    for item in seen:
        if item == 7:
            context.state_history["found"] = True
            break
    else:
        context.state_history["found"] = False
    for i in range(3):
        pass
    else:
        context.state_history["i"] = i
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
