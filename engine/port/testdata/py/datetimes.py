# inputs: {"n": "int", "when": ["2024-02-28T10:20:30+00:00", "2023-12-31T23:59:59+00:00"]}
import time
import uuid
from datetime import datetime, timedelta, timezone

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="datetimes")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    when = datetime.fromisoformat(context.initial_data["when"])
    later = when + timedelta(days=1, hours=2, minutes=context.initial_data["n"])
    context.state_history["later"] = later.strftime("%Y-%m-%d %H:%M:%S")
    context.state_history["parts"] = [later.year, later.month, later.day, later.hour, later.minute]
    context.state_history["gap"] = (later - when).total_seconds()
    context.state_history["before"] = when < later
    now = datetime.now(timezone.utc)
    context.state_history["recent"] = now > when
    context.state_history["id_length"] = len(str(uuid.uuid4()))
    context.state_history["seconds"] = time.time() > 1000
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
