# inputs: {"n": "int", "text?": "word"}
from orchestrator.blueprint import StateMachineBlueprint

child = StateMachineBlueprint(name="child_of_two")
parent = StateMachineBlueprint(name="parent_of_two", api_version="v1", api_endpoint="jobs/two")


def check(n: int, *, low: int = 0) -> bool:
    """Whether n is enough."""
    return n > low


@child.handler_for("start", is_start=True)
async def child_start(context, actions):
    text = context.initial_data.get("text", "")
    if not text:
        actions.transition_to("failed")
    else:
        context.state_history["text"] = text.title()
        actions.transition_to("finished")


@child.handler_for("finished", is_end=True)
async def child_finished(context, actions):
    pass


@child.handler_for("failed", is_end=True)
async def child_failed(context, actions):
    pass


@parent.handler_for("start", is_start=True)
async def parent_start(context, actions):
    if check(context.initial_data["n"], low=3):
        actions.run_blueprint(
            blueprint_name="child_of_two",
            initial_data={"text": context.initial_data.get("text", "")},
            transitions={"success": "finished", "failure": "failed"},
        )
    else:
        actions.transition_to("finished")


@parent.handler_for("finished", is_end=True)
async def parent_finished(context, actions):
    pass


@parent.handler_for("failed", is_end=True)
async def parent_failed(context, actions):
    pass
