# inputs: {"x": "float", "n": "int"}
import math
import statistics

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="maths")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    x, n = context.initial_data["x"], context.initial_data["n"]
    h = context.state_history
    h["ceil"] = [math.ceil(x), math.floor(x), math.trunc(x)]
    h["sqrt"] = math.sqrt(abs(x))
    h["div"] = [n / 4, n // 4, n % 4, -n // 3, x // 1]
    h["mean"] = statistics.fmean([1, 2, 3, n])
    h["pow"] = [n ** 2, 2 ** 0.5, math.pow(n, 2)]
    h["minmax"] = [min(n, 3), max(x, 1.5), min([n, 4])]
    h["inf"] = x < math.inf
    h["bits"] = [n & 3, n | 8, n ^ 5, 1 << 3, ~n, 64 >> 2]
    h["log"] = math.log2(8)
    h["is"] = [math.pi > 3, round(math.e, 3)]
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
