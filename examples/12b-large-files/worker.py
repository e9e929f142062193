"""The worker of recipe 12b, for the unmodified Python SDK (pip install --pre 'avtomatika-worker[s3]==1.0b20').

    ORCHESTRATOR_URL=http://127.0.0.1:8080 \
    S3_ENDPOINT_URL=http://127.0.0.1:9000 S3_ACCESS_KEY=... S3_SECRET_KEY=... S3_DEFAULT_BUCKET=my-processing-bucket \
    python worker.py

It knows nothing of S3: params name local files when they arrive here, and local files below
TASK_FILES_DIR that a result names are in the bucket when it arrives at the server.
"""

from pathlib import Path

import avtomatika_worker.s3 as sdk_s3
import obstore
from avtomatika_worker import Worker

# The published SDKs await obstore.get(), which is not asynchronous, so that every download ends
# in a TypeError (1.0b7 to 1.0b20). The asynchronous one of the same library, put in its place
# here, is what they mean; the installed SDK stays as it is.
sdk_s3.obstore_get = obstore.get_async

worker = Worker(worker_type="video")


def output(params, prefix):
    """Names a file beside the input: the SDK uploads only what is below TASK_FILES_DIR."""
    path = Path(params["video_path"])
    return path, path.parent / f"{prefix}_{path.name}"


@worker.skill("process_video_from_s3")
async def process_video(params: dict):
    source, target = output(params, "processed")
    if not source.exists():
        return {"status": "failure", "error": {"code": "INVALID_INPUT_ERROR", "message": "the input file is missing"}}
    with source.open("rb") as read, target.open("wb") as write:
        write.write(b"processed: ")
        while piece := read.read(1 << 20):
            write.write(piece)
    return {"status": "success", "data": {"processed_video_path": str(target)}}


@worker.skill("preview_video")
async def preview_video(params: dict):
    source, target = output(params, "preview")
    with source.open("rb") as read:
        target.write_bytes(read.read(16))
    return {"status": "success", "data": {"preview_path": str(target), "bytes": source.stat().st_size}}


if __name__ == "__main__":
    worker.run()
