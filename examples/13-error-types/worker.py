"""The worker of recipe 13, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 python worker.py

Against `dev` the SDK's default token is the right one; else set WORKER_TOKEN.
The outside service is played by call_flaky_api: the key "flaky" times out twice and then answers,
"down" always times out, "revoked" is refused, anything else answers.
"""

from collections import Counter

from avtomatika_worker import Worker
from avtomatika_worker.types import INVALID_INPUT_ERROR, PERMANENT_ERROR, TRANSIENT_ERROR

worker = Worker(worker_type="fetcher")
calls = Counter()


def failure(code, message):
    return {"status": "failure", "error": {"code": code, "message": message}}


async def call_flaky_api(job_id, api_key):
    calls[job_id] += 1
    if api_key == "revoked":
        raise PermissionError(f"the key {api_key!r} is not valid any more")
    if api_key == "down" or api_key == "flaky" and calls[job_id] <= 2:
        raise TimeoutError(f"no answer to call {calls[job_id]}")
    return {"rows": 3, "calls": calls.pop(job_id)}


@worker.skill("fetch_external_data")
async def fetch_external_data(params, job_id):
    api_key = params.get("api_key")
    if not api_key:
        return failure(INVALID_INPUT_ERROR, "there is no api_key")
    try:
        return {"status": "success", "data": await call_flaky_api(job_id, api_key)}
    except TimeoutError as error:  # may work the next time
        return failure(TRANSIENT_ERROR, str(error))
    except PermissionError as error:  # will not work until a person does something
        return failure(PERMANENT_ERROR, str(error))


if __name__ == "__main__":
    worker.run()
