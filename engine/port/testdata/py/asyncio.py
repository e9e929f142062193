# inputs: {"items": "ints"}
import asyncio

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="asyncio_")


async def double(x: int) -> int:
    await asyncio.sleep(0.01)
    return x * 2


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    a, b = await asyncio.gather(double(1), double(2))
    rest = await asyncio.gather(*[double(i) for i in context.initial_data["items"]])
    context.state_history["results"] = [a, b] + list(rest)
    context.state_history["one"] = await double(5) + 1
    value = await asyncio.wait_for(double(3), timeout=5)
    context.state_history["value"] = value
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
