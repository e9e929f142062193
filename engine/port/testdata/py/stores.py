# inputs: {"n": "int", "key": "word"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="stores", api_version="v1", api_endpoint="jobs/stores")
bp.add_data_store("counter", {"total": 0, "by_key": {}})


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    total = await context.data_stores.counter.get("total")
    by_key = await context.data_stores.counter.get("by_key")
    total += context.initial_data["n"]
    key = context.initial_data["key"]
    by_key[key] = by_key.get(key, 0) + 1
    await context.data_stores.counter.set("total", total)
    await context.data_stores.counter.set("by_key", by_key)
    context.state_history["total"] = total
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context, data_stores):
    total = await data_stores.counter.get("total")
    print(f"total {total}")
