"""The worker of recipe 24, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 WORKER_ID=worker-001 \
      WORKER_INDIVIDUAL_TOKEN=super-secret-token-for-worker-1 python worker.py
"""

import os

from avtomatika_worker import Worker

worker = Worker(worker_type="reader")


@worker.skill("read_document")
async def read_document(params):
    document = str(params.get("document", ""))
    return {"status": "success", "data": {"letters": len(document), "read_by": os.environ.get("WORKER_ID", "nobody")}}


if __name__ == "__main__":
    worker.run()
