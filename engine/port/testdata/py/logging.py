# inputs: {"n": "int", "s": "text", "x": "float"}
import logging
import sys

from orchestrator.blueprint import StateMachineBlueprint

logging.basicConfig(level=logging.INFO)
logger = logging.getLogger("flows.logging")

bp = StateMachineBlueprint(name="logging_")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    n, s = context.initial_data["n"], context.initial_data["s"]
    logger.debug("debug %s", s)
    logger.info("info %s and %d", s, n)
    logger.warning(f"warning {n}")
    logger.error("error %.2f %5d", context.initial_data["x"], n)
    logger.critical("critical")
    logger.log(logging.INFO, "level %s", n)
    logging.info("root %s", s)
    print("a", n, s, sep="-")
    print()
    print("list:", [1, s], {"k": n}, None, True, 1.5)
    print("x", end="", flush=True)
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context):
    try:
        int(context.initial_data["s"])
    except ValueError:
        logger.exception("no number")
