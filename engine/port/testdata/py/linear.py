"""A line of three states."""
# inputs: {"n": "int", "name": "text"}
import logging

from orchestrator.blueprint import StateMachineBlueprint

logger = logging.getLogger(__name__)

bp = StateMachineBlueprint(name="linear", api_version="v1", api_endpoint="jobs/linear")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    """Begins."""
    logger.info(f"Job {context.job_id}: {context.initial_data['name']} wants {context.initial_data['n']}")
    actions.transition_to("work")


@bp.handler_for("work")
async def work(context, actions):
    # the work itself
    actions.dispatch_task(
        task_type="work",
        params={"n": context.initial_data["n"], "who": context.job_id},  # both are needed
        transitions={"success": "done", "failure": "failed"},
        priority=2.5,
    )


@bp.handler_for("done", is_end=True)
async def done(context, actions):
    print(f"100% done: {context.state_history.get('value')} {{braces}}")


@bp.handler_for("failed", is_end=True)
async def failed(context, actions):
    logger.error("Job %s failed after %d", context.job_id, len(context.state_history))
