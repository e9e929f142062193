# inputs: {"n": "int", "name": "word", "maybe?": "int"}
# outcome: {"output_path": "word", "seconds": "float"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="parameters")


@bp.handler_for("start", is_start=True)
async def start(actions, n, name, initial_data, maybe=7):
    actions.dispatch_task("work", params={"n": n, "name": name, "maybe": maybe}, transitions={"success": "use", "failure": "failed"}, timeout_seconds=30)


@bp.handler_for("use")
async def use(output_path: str, seconds: float, actions, current_state, client):
    print(f"{current_state}: {output_path} took {seconds:.1f}s on plan {client.plan}")
    if "en" in client.config.get("languages", []):
        actions.transition_to("finished")
    else:
        actions.transition_to("failed")


@bp.handler_for("finished", is_end=True)
async def finished(context, output_path):
    print(output_path)


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
