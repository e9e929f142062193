# inputs: {"orders": "list:{\"id\": \"int\", \"price\": \"int\", \"tags\": \"words\"}"}
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from orchestrator.blueprint import StateMachineBlueprint


class Level(Enum):
    """How much."""

    LOW = "low"  # the least
    HIGH = "high"


class Limits:
    MOST = 20
    LEAST = 2


@dataclass
class Order:
    """One order."""

    id: int
    price: int = 1
    tags: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    def level(self) -> Level:
        return Level.HIGH if self.price > Limits.MOST else Level.LOW

    def total(self, count: int = 1) -> int:
        return self.price * count


class Counter:
    def __init__(self, start, step=1):
        self.start = start
        self.step = step
        self.next = start + step

    def after(self, n):
        return self.start + self.step * n


bp = StateMachineBlueprint(name="dataclasses_")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    orders = [Order(id=o["id"], price=o["price"], tags=o["tags"]) for o in context.initial_data["orders"]]
    context.state_history["levels"] = [o.level().value for o in orders]
    context.state_history["totals"] = [o.total(count=3) + o.total() for o in orders]
    context.state_history["dicts"] = [asdict(o) for o in orders]
    context.state_history["high"] = len([o for o in orders if o.level() == Level.HIGH])
    context.state_history["limits"] = [Limits.MOST, Limits.LEAST]
    plain = Order(7)
    context.state_history["plain"] = [plain.id, plain.price, plain.tags]
    counter = Counter(5, step=2)
    context.state_history["counter"] = [counter.after(3), counter.next, Level.LOW.value]
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
