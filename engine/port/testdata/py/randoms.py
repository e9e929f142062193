# inputs: {"items": "ints"}
import random

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="randoms")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    items = context.initial_data["items"] + [1]
    context.state_history["in"] = random.choice(items) in items
    context.state_history["range"] = 1 <= random.randint(1, 6) <= 6
    context.state_history["unit"] = 0 <= random.random() < 1
    context.state_history["sample"] = len(random.sample(items, 1))
    context.state_history["many"] = len(random.choices(items, k=3))
    shuffled = list(items)
    random.shuffle(shuffled)
    context.state_history["same"] = sorted(shuffled) == sorted(items)
    context.state_history["below"] = random.randrange(10) < 10
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
