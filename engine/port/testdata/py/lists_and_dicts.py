# inputs: {"items": "ints", "d": {"a": "int", "b?": "word", "c?": "any"}}
import copy

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="lists_and_dicts")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    items = list(context.initial_data["items"])
    d = dict(context.initial_data["d"])
    items.sort()
    items.reverse()
    items.insert(0, 99)
    items.extend([1, 2])
    items += [3]
    context.state_history["items"] = items
    if "b" in d:
        del d["b"]
    d.setdefault("list", []).append(1)
    d["a"] += 1
    value = d.pop("c", None)
    context.state_history["popped"] = value
    keys = sorted(d.keys())
    context.state_history["keys"] = keys
    shallow = items.copy()
    shallow.append("x")
    deep = copy.deepcopy(d)
    deep["list"].append(2)
    context.state_history["d"] = d
    context.state_history["deep"] = deep
    context.state_history["lens"] = [len(items), len(shallow)]
    context.state_history["by_len"] = sorted(["ccc", "a", "bb"], key=len, reverse=True)
    names = ["b", "a"]
    names.sort(key=lambda n: n)
    context.state_history["names"] = names
    matrix = [[0] * 2 for _ in range(2)]
    matrix[0][1] = 5
    context.state_history["matrix"] = matrix
    context.state_history.pop("lens")
    context.state_history["in"] = "a" in d and 3 in items
    x = 7
    x -= 2
    x *= 3
    x //= 2
    x **= 2
    context.state_history["x"] = x
    context.state_history["power"] = 2 ** 10 + 3 ** x % 7
    context.state_history["round"] = [round(2.5), round(2.675, 2), round(-1.5), divmod(17, 5)[0], abs(-3), 7 % 3, -7 // 2, -7 % 3]
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
