# inputs: {"kind": ["a", "b", "c", "zzz"], "level": "int"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="routing_table", api_version="v1", api_endpoint="/jobs/routing")

ROUTES = {
    "a": "first",
    "b": "second",
}


def pick(kind, default="other"):
    """Chooses by the table."""
    return ROUTES.get(kind, default)


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    kind = context.initial_data["kind"]
    target = pick(kind)
    if target == "other" and context.initial_data["level"] > 5:
        target = "second"
    elif target == "first":
        pass
    context.state_history["target"] = target
    actions.transition_to(target)


@bp.handler_for("first")
async def first(context, actions):
    actions.dispatch_task(
        task_type="first",
        params={"kind": context.initial_data["kind"]},
        dispatch_strategy="cheapest",
        resource_requirements={"gpu": {"model": "NVIDIA T4", "vram_gb": 16}, "installed_models": ["sd-1.5"]},
        max_cost=0.05,
        transitions={"success": "finished", "failure": "failed"},
    )


@bp.handler_for("second")
async def second(context, actions):
    urgent = context.initial_data["level"] > 9
    actions.dispatch_task(task_type="second", priority=10.0 if urgent else 0.0, transitions={"success": "finished", "late": "failed"})


@bp.handler_for("other")
async def other(context, actions):
    actions.transition_to("failed", error_message="unknown kind")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    print(f"done: {context.state_history['target']!r}")


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
