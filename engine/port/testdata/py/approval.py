# inputs: {"amount": "int", "items": "list:{\"name\": \"word\", \"price\": \"int\"}"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="approval")
LIMIT = 20


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    items = context.initial_data.get("items", [])
    total = sum(item["price"] for item in items)
    lines = [f"{item['name']}: {item['price']}" for item in items]
    context.state_history["total"] = total
    if total > LIMIT:
        actions.await_human_approval(
            integration="telegram",
            message=f"Job {context.job_id} costs {total}:\n" + "\n".join(lines),
            transitions={"approved": "finished", "rejected": "rejected"},
        )
        return
    if not items:
        actions.transition_to("rejected", error_message="no items")
        return
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    print(f"approved: {context.state_history['total']}")


@bp.handler_for("rejected", is_end=True)
async def rejected(context):
    print("rejected")
