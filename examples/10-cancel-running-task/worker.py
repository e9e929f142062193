"""The worker of recipe 10, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 python worker.py

Against `dev` the SDK's default token is the right one; else set WORKER_TOKEN.
The SDK itself stops a task whose cancellation reaches it by WebSocket or with a heartbeat. The
recipe's check_for_cancellation asks instead; it is not part of any published SDK, so here it is.
"""

import asyncio
import os

from aiohttp import ClientError, ClientSession
from avtomatika_worker import Worker

os.environ.setdefault("WORKER_ID", f"video-{os.getpid()}")
worker = Worker(worker_type="video")


async def check_for_cancellation(task_id):
    """Asks the orchestrator whether somebody wants this task to stop."""
    url = os.environ.get("ORCHESTRATOR_URL", "http://127.0.0.1:8080").rstrip("/")
    headers = {
        "X-Worker-Token": os.environ.get("WORKER_TOKEN", "your-secret-worker-token"),
        "X-Worker-ID": os.environ["WORKER_ID"],
    }
    try:
        async with ClientSession(headers=headers, raise_for_status=True) as session:
            async with session.get(f"{url}/_worker/tasks/{task_id}/cancelled") as reply:
                return (await reply.json())["cancelled"]
    except ClientError as error:  # a restart of the server is no reason to lose the work
        print(f"cannot ask whether task {task_id} is cancelled: {error}", flush=True)
        return False


@worker.skill("long_video_processing")
async def process_video(params, task_id):
    frames = int(params.get("frames", 1000))
    for frame in range(frames):
        await asyncio.sleep(0.1)  # stands for the work on one frame
        if frame % 10 == 0 and await check_for_cancellation(task_id):
            print(f"task {task_id} is cancelled after {frame + 1} frames", flush=True)
            return {"status": "cancelled"}
    return {"status": "success", "data": {"frames": frames}}


if __name__ == "__main__":
    worker.run()
