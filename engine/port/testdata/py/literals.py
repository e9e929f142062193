# inputs: {"n": "int"}
"""Not a docstring, since a comment may stand before one, but this is."""
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="literals")

BIG = 10_000
HEX = 0xFF
RATE = 1_000.5
LONG = (
    "one "
    'two '  # with a comment
    "three"
)
RAW = r"\d+\s"
MULTI = """first
second "quoted"
"""
ESCAPES = "tab\tnew\\ \x41 \u00e9 'single' \"double\""
NOTHING = None
PAIR = ("a", 1)


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    n = context.initial_data["n"]
    context.state_history["all"] = [BIG, HEX, RATE, LONG, RAW, MULTI, ESCAPES, NOTHING, list(PAIR)]
    message = (
        f"n is {n} "
        f"and twice {n * 2}, "
        "plainly"
    )
    print(message)
    print(f"""first {n}
second "{n}"
""".strip())
    print("a" "b" + "c" * 3, 'it''s')
    context.state_history["e"] = [1e3, .5, 5., 1.5e-3]
    ...
    actions.transition_to("finished"); print("both")


@bp.handler_for("finished", is_end=True)
async def finished(context): pass
