"""Conformance worker for SDK 1.0b8 and later: skills instead of tasks.

Configured by the SDK's own variables, and by two of the test: ORRERY_SUFFIX is
appended to every task type, ORRERY_MARKS is a folder for traces of what ran.
"""

import asyncio
import os
import sys
import threading
from pathlib import Path

from avtomatika_worker import Worker

SUFFIX = os.environ["ORRERY_SUFFIX"]
worker = Worker(worker_type="conformance")
failures_so_far = {}  # by job: each try of a job is a new task

def mark(job_id, event):
    """Leaves a trace that the test waits for."""
    Path(os.environ["ORRERY_MARKS"], f"{job_id}.{event}").touch()


def end_with_parent():
    """Ends this process when the test that holds its standard input is gone."""
    sys.stdin.buffer.read()
    os._exit(0)


def failure(code, params):
    return {"status": "failure", "error": {"code": code, "message": params.get("message", "as asked")}}


@worker.skill("echo" + SUFFIX)
async def echo(params, **kw):
    return {"status": "success", "data": dict(params)}


@worker.skill("fail_transient" + SUFFIX)
async def fail_transient(params, **kw):
    tries = failures_so_far.get(kw["job_id"], 0) + 1
    failures_so_far[kw["job_id"]] = tries
    if tries <= params["failures"]:
        return failure("TRANSIENT_ERROR", params)
    return {"status": "success", "data": {"tries": tries}}


@worker.skill("fail_permanent" + SUFFIX)
async def fail_permanent(params, **kw):
    return failure("PERMANENT_ERROR", params)


@worker.skill("fail_invalid" + SUFFIX)
async def fail_invalid(params, **kw):
    return failure("INVALID_INPUT_ERROR", params)


@worker.skill("needs_review" + SUFFIX)
async def needs_review(params, **kw):
    return {"status": "needs_review", "data": {"score": 0.4}}


@worker.skill("slow_with_progress" + SUFFIX)
async def slow_with_progress(params, **kw):
    job_id, steps = kw["job_id"], int(params["steps"])
    mark(job_id, "started")
    try:
        for step in range(1, steps + 1):
            await asyncio.sleep(params["seconds"] / steps)
            await kw["send_progress"](kw["task_id"], job_id, step / steps, f"step {step} of {steps}")
    except asyncio.CancelledError:
        mark(job_id, "cancelled")
        raise  # the SDK reports the cancelled status
    return {"status": "success", "data": {"steps": steps}}


if __name__ == "__main__":
    threading.Thread(target=end_with_parent, daemon=True).start()
    worker.run()
