"""The worker of recipe 16, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 python worker.py

Against `dev` the SDK's default token is the right one; else set WORKER_TOKEN.
"""

import asyncio
import os

from aiohttp import ClientError, ClientSession
from avtomatika_worker import Worker

os.environ.setdefault("WORKER_ID", f"measured-{os.getpid()}")
worker = Worker(worker_type="measured")
busy = 0


async def update_load(load):
    """Tells the orchestrator one thing and leaves all else as it is."""
    url = os.environ.get("ORCHESTRATOR_URL", "http://127.0.0.1:8080").rstrip("/")
    headers = {"X-Worker-Token": os.environ.get("WORKER_TOKEN", "your-secret-worker-token")}
    try:
        async with ClientSession(headers=headers, raise_for_status=True) as session:
            await session.patch(f"{url}/_worker/workers/{os.environ['WORKER_ID']}/status", json={"load": load})
    except ClientError as error:  # the next update may come through
        print(f"the load could not be reported: {error}", flush=True)


@worker.skill("measured_work")
async def measured_work(params):
    global busy
    busy += 1
    await update_load(busy)
    try:
        await asyncio.sleep(float(params.get("seconds", 1)))  # stands for the work
    finally:
        busy -= 1
        await update_load(busy)
    return {"status": "success", "data": {"reported_by": os.environ["WORKER_ID"]}}


if __name__ == "__main__":
    worker.run()
