#!/usr/bin/env python3
"""Is this container's role healthy? `healthcheck` asks process 1 for the role, `healthcheck scheduler` is told it.

Exit code 0 for healthy, 1 for not, 2 for a role that does not exist; what is printed says why. Standard library only.

| role | asked |
| --- | --- |
| `api-server` | `/api/v2/monitor/health` on this host: it answers, and reaches its database |
| `scheduler`, `dag-processor`, `triggerer` | `airflow jobs check --local`: this host's job has a recent heartbeat |
| `celery worker` | `celery inspect ping`: this host's worker answers through the broker |
| any other command | nothing: such a container is well as long as it runs |
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}
ROLES = ("api-server", *JOBS, "celery worker")
SECONDS = 40
"""Less than the time-out of HEALTHCHECK, so that the reason is printed and not lost."""


def roles_of(command: Sequence[str]) -> list[str]:
    """The roles that a command line starts, also within `bash -c "airflow db migrate && exec airflow scheduler"`."""
    names = "|".join(ROLES)
    return list(dict.fromkeys(re.findall(rf"\bairflow ({names})(?![\w-])", " ".join(command))))


def process_one() -> list[str]:
    """The container's command: that of process 1, tini, which unlike Airflow's processes never renames itself."""
    return [word for word in Path("/proc/1/cmdline").read_text(encoding="utf-8", errors="replace").split("\0") if word]


def check_api_server() -> str | None:
    """What is wrong with the API server, or None."""
    port = os.environ.get("AIRFLOW__API__PORT", "8080")
    url = f"http://127.0.0.1:{port}/api/v2/monitor/health"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # this host is never behind a proxy
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            state = json.load(answer)["metadatabase"]["status"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{url}: {error!r}"
    return None if state == "healthy" else f"{url}: the database is {state}"


def check_command(*command: str) -> str | None:
    """What a command that checks says is wrong, or None."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
    return f"`{' '.join(command)}` ended with {done.returncode}: " + "\n".join(lines[-8:])


def check(role: str) -> str | None:
    """What is wrong with a role on this host, or None."""
    if role == "api-server":
        return check_api_server()
    if role == "celery worker":
        app = "airflow.providers.celery.executors.celery_executor.app"
        return check_command("celery", "--app", app, "inspect", "ping", "-d", f"celery@{socket.gethostname()}")
    return check_command("airflow", "jobs", "check", "--job-type", JOBS[role], "--local")


def main(words: Sequence[str]) -> int:
    named = " ".join(words)
    if named and named not in ROLES:
        print(f"healthcheck: there is no role `{named}`; the roles are {', '.join(ROLES)}")
        return 2
    command = process_one()
    roles = [named] if named else roles_of(command)
    if not roles:
        print(f"nothing to check: `{' '.join(command)}` starts no part of Airflow")
        return 0
    wrong = [f"{role}: {problem}" for role in roles if (problem := check(role))]
    print("\n".join(wrong or [f"{role}: healthy" for role in roles]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
