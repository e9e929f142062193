# inputs: {"items": "ints", "factor": "int"}
from functools import partial

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="nested_functions")


def make_scaler(factor):
    def scale(x, offset=0):
        return x * factor + offset

    return scale


def apply_all(fn, items):
    return [fn(i) for i in items]


def add(a, b):
    return a + b


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    scale = make_scaler(context.initial_data["factor"])

    def keep(x):
        # only those that count
        return x > 0 and x < 100

    items = [i for i in context.initial_data["items"] if keep(i)]
    context.state_history["scaled"] = apply_all(scale, items)
    context.state_history["offset"] = apply_all(lambda x: scale(x, offset=1), items)
    context.state_history["sorted"] = sorted(items, key=lambda x: (x % 3, -x))
    context.state_history["partial"] = apply_all(partial(add, 10), items)
    operations = {"double": lambda x: x * 2, "negate": lambda x: -x}
    context.state_history["ops"] = {name: fn(3) for name, fn in operations.items()}
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
