"""A worker of recipe 6, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 WORKER_ID=compute-1 python worker.py

Start several with different WORKER_ID. COST_PER_SKILL='{"critical_computation": 0.02}' gives a
price, WARM=1 says that everything for the task is loaded. The result names the worker.
"""

import asyncio
import os

from avtomatika_worker import Worker

os.environ.setdefault("WORKER_ID", f"compute-{os.getpid()}")
worker = Worker(worker_type="compute")
if os.environ.get("WARM") == "1":
    worker.add_to_hot_skills("critical_computation")


@worker.skill("critical_computation")
async def compute(params):
    n = int(params.get("n", 1))
    await asyncio.sleep(float(os.environ.get("SECONDS_PER_TASK", "0.1")))  # stands for the work
    return {"status": "success", "data": {"square": n * n, "computed_by": os.environ["WORKER_ID"]}}


if __name__ == "__main__":
    worker.run()
