# inputs: {"type": ["urgent", "slow", "odd"], "priority?": "int", "active": "bool", "files": "words"}
# outcome: {"path": "word", "duration": "int"}
import logging
from typing import Any

from avtomatika import Blueprint, F
from avtomatika.context import ActionFactory

log = logging.getLogger("flows")
main_bp = Blueprint(name="later_family", api_endpoint="/submit/later", api_version="v1", data_stores={"cache": {"hits": 0}})


@main_bp.handler(is_start=True)
async def start(job_id: str, initial_data: dict[str, Any], actions: ActionFactory):
    log.info("%s begins with %s", job_id, initial_data["type"])
    actions.send_event("begun", {"type": initial_data["type"], "n": 1})
    actions.go_to("decide")
    return actions


@main_bp.handler("decide", F.initial_data["type"] == "urgent")
async def decide_urgent(actions: ActionFactory):
    actions.dispatch_task(
        task_type="fast",
        params={"x": 1},
        skill_version="1.0.0",
        transitions={"success": "publish", "failure": "failed"},
        max_cost=0.5,
    )
    return actions


@main_bp.handler("decide", (F.initial_data["priority"] >= 8) & (F.initial_data["active"] == True))
async def decide_high(actions):
    actions.go_to("fan_out")


@main_bp.handler("decide", ~(F.initial_data["type"] == "odd") | F.initial_data["active"])
async def decide_odd(actions):
    actions.await_human_approval("console", "Look at this", {"approved": "fan_out", "rejected": "failed"})


@main_bp.handler
async def decide(actions):
    actions.go_to("publish")


@main_bp.handler
async def fan_out(initial_data, actions):
    tasks = [{"type": "analyse", "params": {"file": f}} for f in initial_data["files"]]
    actions.dispatch_parallel(tasks=tasks, aggregate_into="gather")


@main_bp.aggregator
async def gather(aggregation_results, actions):
    summary = sorted(r["data"]["duration"] for r in aggregation_results.values())
    actions.update_context({"summary": summary, "is_aggregated": True})
    actions.go_to("publish")


@main_bp.handler
async def publish(job_id, data_stores, actions, path: str = "none", duration: int = 0):
    hits = await data_stores.cache.get("hits")
    await data_stores.cache.set("hits", hits + 1)
    print(f"{job_id}: {path} ({duration}s), {hits}")
    actions.run_blueprint("child", {"path": path}, transitions={"success": "finished", "failure": "failed"})


@main_bp.handler(is_end=True)
async def finished(job_id: str):
    log.info(f"[{job_id}] done")


@main_bp.handler(is_end=True)
async def failed(job_id: str):
    log.warning(f"[{job_id}] failed")
