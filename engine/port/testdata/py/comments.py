# inputs: {"n": "int"}
# A file with many comments.

from orchestrator.blueprint import StateMachineBlueprint  # the library

# before the blueprint
bp = StateMachineBlueprint(
    name="comments",  # its name
    # no endpoint
)  # after it


# before the handler
@bp.handler_for("start", is_start=True)  # beside the decorator
async def start(context, actions):  # beside the def
    # first in the body
    n = context.initial_data["n"]  # beside a statement

    # before an if
    if n > 5:  # beside the if
        # in the if
        print("large")
        # last in the if
    # before elif
    elif n > 2:  # beside elif
        print("middle")
    # before else
    else:  # beside else
        # in else
        print("small")

    values = [
        1,  # one
        # between
        2,
    ]
    for v in values:  # beside for
        print(v)  # each
    # the end of the body
    actions.transition_to(
        "finished",  # the only way
    )
    # really the end


# before the last
@bp.handler_for("finished", is_end=True)
async def finished(context):
    pass  # nothing


# the end of the file
