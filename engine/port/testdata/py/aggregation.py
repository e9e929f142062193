# inputs: {"parts": "ints"}
# outcome: {"value": "int", "name": "word"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="aggregation")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    for i, part in enumerate(context.initial_data["parts"] + [1, 2]):
        actions.dispatch_task(
            task_type=f"part_{i % 2}",
            params={"part": part},
            transitions={"success": "gather", "failure": "failed"},
        )


@bp.aggregator_for("gather")
async def gather(context, actions):
    processed = {}
    for task_id, result in context.aggregation_results.items():
        if result.get("status") == "success":
            processed[task_id] = result.get("data")
    best = max(processed.values(), key=lambda d: d["value"])
    context.state_history["best"] = best["name"]
    context.state_history["sum"] = sum(d["value"] for d in processed.values())
    ranked = sorted(processed.items(), key=lambda item: (-item[1]["value"], item[0]))
    context.state_history["order"] = [task_id for task_id, _ in ranked]
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    print("Gathered: %s" % context.state_history)


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
