"""The worker of recipe 11, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 python worker.py

Against `dev` the SDK's default token is the right one; else set WORKER_TOKEN.
With WORKER_ENABLE_WEBSOCKETS=true the reports go over the WebSocket, else as HTTP requests.
"""

import asyncio

from avtomatika_worker import Worker

worker = Worker(worker_type="trainer")


@worker.skill("train_model")
async def train_model(params, task_id, job_id, send_progress):
    epochs = int(params.get("epochs", 10))
    for epoch in range(1, epochs + 1):
        await asyncio.sleep(1)  # stands for the work of one epoch
        await send_progress(task_id, job_id, epoch / epochs, f"epoch {epoch} of {epochs} done")
    return {"status": "success", "data": {"epochs_done": epochs}}


if __name__ == "__main__":
    worker.run()
