# inputs: {"words": "words", "items": "ints"}
import itertools
from collections import Counter, OrderedDict, defaultdict, deque

from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint(name="collections_")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    words, items = context.initial_data["words"], context.initial_data["items"]
    groups = defaultdict(list)
    sizes = defaultdict(int)
    for w in words:
        groups[len(w)].append(w)
        sizes[w] += len(w)
    context.state_history["groups"] = {str(k): v for k, v in groups.items()}
    context.state_history["sizes"] = dict(sizes)
    counts = Counter(words)
    context.state_history["counts"] = dict(counts)
    context.state_history["top"] = [list(x) for x in counts.most_common(2)]
    context.state_history["missing"] = counts["nowhere"]
    queue = deque(items)
    queue.appendleft(0)
    queue.append(1)
    context.state_history["queue"] = [queue.popleft(), queue.pop(), len(queue)]
    context.state_history["ordered"] = list(OrderedDict([("b", 1), ("a", 2)]))
    context.state_history["chain"] = list(itertools.chain(items, [7], items))
    context.state_history["flat"] = list(itertools.chain.from_iterable([[1], [2, 3]]))
    context.state_history["product"] = [f"{a}{b}" for a, b in itertools.product("xy", [1, 2])] if False else []
    context.state_history["sliced"] = list(itertools.islice(items, 2))
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
