# inputs: {"x": "float", "n": "int", "s": "word", "width": [3, 8, 12]}
from orchestrator.blueprint import StateMachineBlueprint

bp = StateMachineBlueprint("format_specs")


@bp.handler_for("start", is_start=True)
async def start(context, actions):
    x = context.initial_data["x"]
    n = context.initial_data["n"]
    s = context.initial_data["s"]
    width = context.initial_data["width"]
    print(f"{x:.2f}|{x:8.3f}|{x:<10}|{x:>+10.1f}|{x:e}|{x:%}|{x:.0f}|{x:g}|{x:.3g}")
    print(f"{n:05d}|{n:,}|{n:x}|{n:>6}|{n:<6}|{n:^6}|{n:+d}|{n:b}|{n:#x}|{n * 12345:,}")
    print(f"{s:>10}|{s:<10}|{s:^10}|{s:*^12}|{s:.2}|{s!s:>4}|{s:{width}}|{n:0{width}d}|{x:{width}.1f}")
    print(f"{'='*10}{n + 1}{s.upper()}{len(s)}{'yes' if n > 3 else 'no'} {n=} 50%")
    print("%5.1f|%-6s|%03d|%s|%x|%d%%" % (x, s, n, s, n * n, n))
    print("{:.2f} {:>5}".format(x, n))
    print("{0} {1} {0}".format(s, n), "{name}: {value:.1f}".format(name=s, value=x), "{:>8}|{:<4}|".format(s, n))
    print("only %s" % s, "pair %s %s" % (s, n))
    actions.transition_to("finished")


@bp.handler_for("finished", is_end=True)
async def finished(context, actions):
    pass
