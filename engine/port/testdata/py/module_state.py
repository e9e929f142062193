# inputs: {"n": "int", "key": "word"}
import logging

from orchestrator.blueprint import StateMachineBlueprint

logger = logging.getLogger(__name__)
count = 0
SEEN = []
CACHE = {}

bp = StateMachineBlueprint(name="module_state")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    """Counts its jobs."""
    key = context.initial_data["key"]
    context.state_history["key"] = key
    context.state_history["n"] = len(key)
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    logger.info("done")
