# inputs: {"amount": "int", "name": "text"}
from orchestrator.blueprint import StateMachineBlueprint


class OrderError(Exception):
    """What can be wrong with an order."""


class PaymentError(OrderError):
    """A payment that was refused."""

    def __init__(self, message, code, amount=0):
        super().__init__(f"{message} ({code})")
        self.code = code
        self.amount = amount

    def to_dict(self):
        return {"code": self.code, "amount": self.amount, "text": str(self)}


class EmptyOrder(OrderError):
    pass


bp = StateMachineBlueprint(name="exceptions")


def pay(amount, name):
    if not name:
        raise EmptyOrder("no name")
    if amount < 0:
        raise PaymentError("refused", "NEG", amount=amount)
    if amount > 50:
        raise PaymentError("too much", 17)
    if amount == 10:
        raise OrderError
    assert amount != 5, "five"
    assert amount != 7
    return amount * 2


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    try:
        paid = pay(context.initial_data["amount"], context.initial_data["name"])
        context.state_history["paid"] = paid
    except PaymentError as e:
        context.state_history["error"] = e.to_dict()
        print(f"payment: {e}, {e.code}, {e.amount}")
    except EmptyOrder as e:
        print("empty:", e)
    except OrderError as e:
        print("order", type(e).__name__)
    except AssertionError as e:
        print("assert", e)
    try:
        pay(context.initial_data["amount"], "x")
    except OrderError as e:
        context.state_history["kind"] = isinstance(e, PaymentError)
    except Exception:
        context.state_history["kind"] = "other"
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass
