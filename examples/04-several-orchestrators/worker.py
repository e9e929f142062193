"""The worker of recipe 4, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATORS_CONFIG='[{"url": "http://127.0.0.1:8080"}, {"url": "http://127.0.0.1:8081"}]' \
      MULTI_ORCHESTRATOR_MODE=FAILOVER python worker.py

The SDK registers with all of them; the mode (FAILOVER or ROUND_ROBIN) says whom it asks for work.
"""

import asyncio
import os

from avtomatika_worker import Worker

os.environ.setdefault("WORKER_ID", f"renderer-{os.getpid()}")
worker = Worker(worker_type="renderer")


@worker.skill("render_page")
async def render_page(params):
    await asyncio.sleep(float(os.environ.get("SECONDS_PER_PAGE", "0.5")))  # stands for the work
    return {"status": "success", "data": {"rendered": params.get("page"), "rendered_by": os.environ["WORKER_ID"]}}


if __name__ == "__main__":
    worker.run()
