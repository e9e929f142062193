import os

from orchestrator.blueprint import StateMachineBlueprint

REGION = os.environ.get("ORRERY_TEST_REGION", "eu")
LIMIT = int(os.getenv("ORRERY_TEST_LIMIT", "5"))

bp = StateMachineBlueprint(name="environment")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    if context.initial_data["n"] > LIMIT:
        actions.transition_to("failed", error_message=f"over {LIMIT} in {REGION}")
        return
    context.state_history["region"] = REGION.upper()
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
