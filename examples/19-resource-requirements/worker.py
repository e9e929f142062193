"""A worker of recipe 19, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 WORKER_ID=studio GPU_MODEL="NVIDIA T4" GPU_VRAM_GB=16 \
      INSTALLED_ARTIFACTS='[{"name": "stable-diffusion", "version": "1.5"}]' python worker.py

The variables are the SDK's own (INSTALLED_MODELS in SDKs up to 1.0b7): it believes what it is told.
"""

import asyncio
import os

from avtomatika_worker import Worker

os.environ.setdefault("WORKER_ID", f"montage-{os.getpid()}")
worker = Worker(worker_type="montage")


@worker.skill("video_montage")
async def cut(params):
    await asyncio.sleep(0.1)  # stands for the work
    return {"status": "success", "data": {"video": f"cut of {params.get('clip', 'nothing')}", "cut_by": os.environ["WORKER_ID"]}}


if __name__ == "__main__":
    worker.run()
