"""The schedules of meltano.yml in Dagster: ``dagster dev -f dagster_lev.py`` beside meltano.yml."""

import fcntl
import os
import subprocess
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

PROJECT = Path(os.environ.get("MELTANO_PROJECT_ROOT", "."))
LOCK = PROJECT / ".meltano" / "lev.lock"
ENVIRONMENTS = os.environ.get("LEV_ENVIRONMENTS", "prod").split(",")
"""Meltano's environments, one for each account."""


def scheduled(environment: str, schedule: dict[str, Any]) -> dg.ScheduleDefinition:
    """Make a job that runs a schedule of Meltano, and the schedule that starts it.

    Args:
        environment: The environment of Meltano, whose state the run goes on from.
        schedule: What meltano.yml says of the schedule.
    """
    name = f"{environment}_{schedule['name']}"
    command = ["meltano", f"--environment={environment}", "schedule", "run", schedule["name"]]

    @dg.op(name=f"run_{name}", retry_policy=dg.RetryPolicy(max_retries=1, delay=300))
    def run() -> None:
        # Meltano's runs are not apart enough to be at work at the same time in one project.
        with LOCK.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            subprocess.run(command, cwd=PROJECT, check=True)

    @dg.job(name=name)
    def job() -> None:
        run()

    return dg.ScheduleDefinition(
        job=job,
        cron_schedule=schedule["interval"],
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )


schedules = [
    scheduled(environment, schedule)
    for environment in ENVIRONMENTS
    for schedule in yaml.safe_load((PROJECT / "meltano.yml").read_text("utf-8"))["schedules"]
]
defs = dg.Definitions(schedules=schedules)
