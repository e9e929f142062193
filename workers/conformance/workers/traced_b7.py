"""The task of examples/20-tracing for the SDKs of age B, whose handlers take all keywords."""

from avtomatika_worker import Worker

worker = Worker(worker_type="traced")


@worker.task("traced_work")
async def traced_work(params, tracing_context=None, **_):
    return {"status": "success", "data": {"worker_saw": (tracing_context or {}).get("traceparent", "none")}}


if __name__ == "__main__":
    worker.run()
