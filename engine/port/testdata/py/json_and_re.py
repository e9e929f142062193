# inputs: {"s": "text", "d": {"a": "int", "b": "text", "c": "any"}}
import json
import re

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="json_and_re")
NUMBER = re.compile(r"^-?\d+$")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    d = context.initial_data["d"]
    text = json.dumps(d)
    print(text)
    context.state_history["back"] = json.loads(text)
    context.state_history["sorted"] = json.dumps(d, sort_keys=True, indent=2)
    context.state_history["plain"] = json.dumps({"é": "ñ"}, ensure_ascii=False) + json.dumps("é")
    s = context.initial_data["s"]
    if NUMBER.match(s):
        context.state_history["number"] = int(s)
    m = re.search(r"(\w)(\w+)", s)
    if m:
        context.state_history["groups"] = [m.group(0), m.group(1), m.group(2), list(m.groups())]
    context.state_history["words"] = re.findall(r"[a-z]+", s)
    context.state_history["sub"] = re.sub(r"[aeiou]", "*", s)
    context.state_history["split"] = re.split(r"[, ]+", s)
    try:
        json.loads(s)
        context.state_history["json"] = True
    except json.JSONDecodeError:
        context.state_history["json"] = False
    except ValueError:
        context.state_history["json"] = None
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
