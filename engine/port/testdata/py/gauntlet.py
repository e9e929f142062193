# inputs: {"n": "int", "items": "ints", "s": "text", "d": {"k?": [7, "text", null, 2.5], "m?": "int"}}
from orchestrator.blueprint import StateMachineBlueprint

totals = {"sum": 0, "runs": []}
last = None

bp = StateMachineBlueprint(name="gauntlet")


class Stop(Exception):
    pass


class Retry(Stop):
    def __init__(self, after, why="busy"):
        self.after = after
        super().__init__(f"{why} for {after}")


def search(items, target):
    log = []
    for i, item in enumerate(items):
        try:
            if item == target:
                return f"found at {i}"
            if item < 0:
                raise Retry(item)
            if item > 15:
                raise Stop(f"large {item}")
            log.append(100 // item)
        except ZeroDivisionError:
            log.append("zero")
            continue
        except Retry as r:
            log.append(f"{r} {r.after}")
            if r.after < -3:
                break
        finally:
            log.append(i)
    else:
        return "not found " + ",".join(str(x) for x in log)
    return "stopped " + ",".join(str(x) for x in log)


def count_down(n):
    steps = []
    while n > 0:
        try:
            n -= 1
            if n % 4 == 0:
                continue
            if n == 37:
                break
            steps.append(12 // (n - 5))
        except ZeroDivisionError as e:
            steps.append("zero")
            n -= 2
    else:
        steps.append("end")
    return steps


def deep(s, d):
    try:
        try:
            number = int(s)
        except ValueError:
            number = d["m"]
        else:
            number *= 2
        return number
    except KeyError:
        return None


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    global last
    n, items = context.initial_data["n"], context.initial_data["items"]
    h = context.state_history
    try:
        h["search"] = search(items, n)
    except Stop as e:
        h["search"] = f"stop: {e}"
    h["down"] = count_down(n)
    h["deep"] = deep(context.initial_data["s"], context.initial_data["d"])
    try:
        totals["sum"] += n
        last = n
        totals["runs"].append(10 // n)
    except ZeroDivisionError:
        totals["runs"].append("zero")
        last = "zero"
    h["last"] = last
    h["sum"] = totals["sum"]
    h["runs"] = totals["runs"][-2:]
    found = None
    for item in items:
        for other in items:
            if item + other == 10:
                found = [item, other]
                break
        else:
            continue
        break
    h["found"] = found
    pairs = {k: v for k, v in sorted({"a": 1, "b": n}.items()) if v}
    h["pairs"] = pairs
    value = None
    try:
        value = context.initial_data["d"]["k"]
        value = value + 1
    except KeyError:
        pass
    except TypeError:
        value = "type"
    h["value"] = value
    if n > 5 and (m := n * 2) > 15:
        h["m"] = m
    try:
        if n == 42:
            actions.transition_to("failed", error_message="42")
            return
        for item in items:
            if item == 7:
                raise Retry(7, why="seven")
    except Retry as r:
        actions.transition_to("failed", error_message=str(r))
        return
    finally:
        h["finally"] = True
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    print(f"{last} {totals['sum']:>6} {len(totals['runs'])}")


@bp.handler_for("failed", is_end=True)
async def failed(context):
    pass
