# inputs: {"items": "ints", "words": "words"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="comprehensions")


@bp.handler_for("start", is_start=True)
async def start(initial_data, state_history, actions):
    items = initial_data["items"]
    words = initial_data["words"]
    state_history["squares"] = [i * i for i in items if i % 2 == 0]
    state_history["lengths"] = {w: len(w) for w in words if w}
    state_history["unique"] = sorted({w.lower() for w in words})
    state_history["sum"] = sum(i for i in items if i > 0)
    state_history["any"] = any(i > 10 for i in items)
    state_history["all"] = all(len(w) < 6 for w in words)
    state_history["pairs"] = [[i, w] for i in items[:2] for w in words[:2] if i]
    state_history["joined"] = ", ".join(w.upper() for w in words)
    state_history["text"] = "-".join(str(i) for i in items)
    state_history["mapped"] = list(map(str, items))
    state_history["filtered"] = list(filter(lambda i: i > 2, items))
    state_history["truthy"] = list(filter(None, words))
    state_history["top"] = max(items, default=0)
    state_history["low"] = min((i for i in items), default=None)
    state_history["first"] = next((i for i in items if i > 5), None)
    state_history["numbered"] = [f"{k}:{w}" for k, w in enumerate(words, start=1)]
    state_history["zipped"] = [list(p) for p in zip(items, words)]
    state_history["nested"] = [[j for j in range(i)] for i in range(3)]
    state_history["set_size"] = len({1, 2, 2, len(items)})
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(state_history):
    for key, value in state_history.items():
        print(key, value)
