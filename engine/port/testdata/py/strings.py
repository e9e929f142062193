# inputs: {"s": "text", "words": "words"}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="strings")


def initials(name: str) -> str:
    out = ""
    for ch in name:
        if ch.isupper() or ch == "a":
            out += ch
    return out


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    s: str = context.initial_data["s"]
    h = context.state_history
    h["initials"] = initials(s)
    h["list"] = list(s)[:3]
    h["chars"] = [c for c in s if c != " "]
    h["vowels"] = sum(1 for c in s if c in "aeiou")
    h["set"] = sorted(set(s))
    h["cased"] = [s.title(), s.capitalize(), s.casefold(), s.upper()]
    h["prefix"] = s.removeprefix("a").removesuffix("a")
    h["partition"] = list(s.partition(","))
    h["lines"] = "a\nb".splitlines()
    h["ends"] = s.endswith("a") or s.startswith("t")
    h["repeat"] = "-" * len(s)
    h["compare"] = s < "m"
    h["concat"] = s + "!" + str(len(s)) + str(None) + str(1.0) + str(True)
    h["ord"] = [ord("a"), chr(98), hex(255), bin(5)]
    h["int"] = int("0x1f", 16) + int(3.9) + int(True)
    h["float"] = float("2.5") + float(1)
    h["bool"] = [bool(s), bool([]), bool(0.0)]
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    print(repr(context.initial_data["words"]), context.initial_data["s"])
