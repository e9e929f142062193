# inputs: {"n": "int"}
"""A whole application in one file."""
import asyncio
from typing import TYPE_CHECKING, Optional

from orchestrator.blueprint import StateMachineBlueprint

if TYPE_CHECKING:
    from orchestrator.context import JobContext

Names = Optional[list]

bp = StateMachineBlueprint(name="application", api_version="v1", api_endpoint="jobs/application")


def helper(n: int) -> str:
    return "even" if n % 2 == 0 else "odd"


@bp.handler_for("start", is_start=True)
async def start(context: "JobContext", actions) -> None:
    result: str = helper(context.initial_data["n"])
    note: str
    context.state_history["parity"] = result
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context, actions):
    return


bp.validate()


async def main():
    print("would start the engine")
    await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(main())
