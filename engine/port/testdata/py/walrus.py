# inputs: {"s": "text", "items": "ints", "d": {"k?": "int"}}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="walrus")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    if (n := len(context.initial_data["items"])) > 2:
        print(f"many: {n}")
    elif (m := n * 2) > 1:
        print(f"some: {m}")
    else:
        print("none")
    d = context.initial_data["d"]
    if "k" in d and (k := d["k"]) > 3:
        print("k", k)
    total = 0
    items = list(context.initial_data["items"])
    while (left := len(items)) > 0:
        total += items.pop()
        if total > 30:
            print("enough", left)
            break
    context.state_history["total"] = total
    print(text := context.initial_data["s"].upper(), len(text))
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
