# inputs: {"language?": ["en", "de", "fr"], "size?": "int", "flag?": "bool", "five?": [5, "5", 6]}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="conditions")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    actions.transition_to("route")


@bp.handler_for("route").when("context.initial_data.language == 'en'")
async def english(context, actions):
    actions.transition_to("finished")


@bp.handler_for("route").when("context.initial_data.size > 5")
async def large(context, actions):
    actions.dispatch_task(task_type="large", transitions={"success": "finished", "failure": "failed"})


@bp.handler_for("route").when("context.initial_data.language == de")
async def german(context, actions):
    actions.dispatch_task(task_type="de", params={}, transitions={"success": "finished"})


@bp.handler_for("route").when("context.initial_data.flag == True")
async def flagged(context, actions):
    actions.transition_to("failed")


@bp.handler_for("route").when("context.initial_data.five == '5'")
async def five(context, actions):
    actions.transition_to("fives")


@bp.handler_for("route")
async def other(context, actions):
    actions.transition_to("finished")


@bp.handler_for("fives", is_end=True)
async def fives(context):
    print("five")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    print("finished")


@bp.handler_for("failed", is_end=True)
async def failed(context):
    print("failed")
