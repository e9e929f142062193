"""A worker of recipe 8, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 WORKER_ID=fair COST_PER_SKILL='{"image_compression": 0.03}' python worker.py

COST_PER_SKILL is the SDK's own variable; without it the worker names no price.
"""

import asyncio
import os

from avtomatika_worker import Worker

os.environ.setdefault("WORKER_ID", f"compressor-{os.getpid()}")
worker = Worker(worker_type="compressor")


@worker.skill("image_compression")
async def compress(params):
    await asyncio.sleep(0.1)  # stands for the work
    image = str(params.get("image", "image.png"))
    return {"status": "success", "data": {"compressed": image.rsplit(".", 1)[0] + ".webp", "compressed_by": os.environ["WORKER_ID"]}}


if __name__ == "__main__":
    worker.run()
