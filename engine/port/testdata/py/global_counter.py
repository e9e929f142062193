from orchestrator.blueprint import StateMachineBlueprint

runs = 0
seen = []
last = {"n": None}

bp = StateMachineBlueprint(name="global_counter")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    """Counts over all jobs."""
    global runs
    runs += 1
    n = context.initial_data["n"]
    if n not in seen:
        seen.append(n)
    last["n"] = n
    context.state_history["runs"] = runs
    context.state_history["seen"] = len(seen)
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(state_history):
    print(f"{last['n']} {state_history['runs']}")
