"""The worker of recipe 20, for the unmodified Python SDK (pip install --pre avtomatika-worker==1.0b20).

    ORCHESTRATOR_URL=http://127.0.0.1:8080 python worker.py

Against `dev` the SDK's default token is the right one; else set WORKER_TOKEN. The task brings
its trace as tracing_context. Where OpenTelemetry is installed beside the SDK
(pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-grpc
opentelemetry-instrumentation-aiohttp-client) and OTEL_EXPORTER_OTLP_ENDPOINT is set, the SDK
makes a span for every task below it, and the instrumentation sends that span's headers back
with the result.
"""

from avtomatika_worker import Worker

try:
    from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
except ImportError:  # the trace then goes on below the dispatch
    pass
else:
    AioHttpClientInstrumentor().instrument()

worker = Worker(worker_type="traced")


@worker.skill("traced_work")
async def traced_work(params, tracing_context):
    traceparent = (tracing_context or {}).get("traceparent", "none")
    print(f"working below {traceparent}", flush=True)
    return {"status": "success", "data": {"length": len(params["text"]), "worker_saw": traceparent}}


if __name__ == "__main__":
    worker.run()
