"""A small client of Airflow's REST API: what `make demo`, the report task and the tests need of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self
from uuid import uuid4

import httpx

from skillsengine.settings import without_login

_RETRIED = frozenset({500, 502, 503, 504})
_WAITS = (0.2, 0.5, 1.0, 2.0, 4.0)
NOTE_CHARS = 1000
"""Longest note of a run that Airflow takes."""
MAX_BACKFILL_DAYS = 36_525
"""A century: Airflow makes the runs of a backfill one by one while the caller waits."""


class AirflowError(Exception):
    """Airflow does not answer, or says no; the text says what was asked and what came back."""


class AirflowClient:
    """Talks to one Airflow. Every method may raise AirflowError.

    On SQLite the API answers 500 or 503 now and then: such calls are repeated, and a trigger is safe to repeat
    because its run id is decided here. The token is the one that is given, or one for the login that `url` holds
    (`http://user:password@host`, as Airflow's own auth managers give out), or one without a login, which
    SimpleAuthManager gives where all are admins, as in the embedded set-up.

    `timeout` is in seconds, for each step of a call.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = without_login(url)
        self._token = token
        try:
            given = httpx.URL(url)
        except httpx.InvalidURL:
            given = httpx.URL()
        if given.scheme not in ("http", "https") or not given.host:
            raise AirflowError(f"{self.url} is no address of an Airflow. Write http://host:port, or https://host/path.")
        self._user = {"username": given.username, "password": given.password} if given.username else None
        here = given.host in ("127.0.0.1", "localhost", "::1")
        # No proxy stands between a machine and itself, whatever the environment says.
        self._http = httpx.Client(base_url=self.url, timeout=timeout, transport=transport, trust_env=not here)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.close()

    def health(self) -> dict[str, Any] | None:
        """The parts and their heartbeats, or None while the API does not answer. Asks once."""
        try:
            return self.ask_health()
        except AirflowError:
            return None

    def ask_health(self) -> dict[str, Any]:
        """As `health`, and the AirflowError says why where there is no answer, or another program's."""
        path = "/api/v2/monitor/health"
        try:
            answer = self._http.get(path, timeout=5.0)
        except httpx.HTTPError as error:
            raise AirflowError(f"Airflow at {self.url}: no answer ({error})") from error
        try:
            parts = answer.json()
        except ValueError:
            parts = None
        if answer.status_code != 200 or not isinstance(parts, dict):
            raise AirflowError(f"{self.url} is not the address of an Airflow 3: GET {path}: {answer.status_code}")
        return parts

    def dag(self, dag_id: str) -> dict[str, Any] | None:
        return self._maybe(f"/api/v2/dags/{dag_id}")

    def dags(self, *, stale: bool = False) -> list[dict[str, Any]]:
        """With `stale` also those whose file is gone, which start nothing and are kept for their history."""
        return self._all("/api/v2/dags", "dags", **({"exclude_stale": "false"} if stale else {}))

    def dag_doc(self, dag_id: str) -> str:
        """The Markdown that the DAG's page shows; empty where it has none."""
        return str(self._json("GET", f"/api/v2/dags/{dag_id}/details")["doc_md"] or "")

    def set_paused(self, dag_id: str, paused: bool) -> None:
        self._json("PATCH", f"/api/v2/dags/{dag_id}", {"is_paused": paused})

    def import_errors(self) -> list[dict[str, Any]]:
        return self._all("/api/v2/importErrors", "import_errors")

    def pools(self) -> list[dict[str, Any]]:
        return self._all("/api/v2/pools", "pools")

    def version(self) -> str:
        return str(self._json("GET", "/api/v2/version")["version"])

    def config(self, section: str, option: str) -> str | None:
        """A value of Airflow's configuration; None where it is not set or, as by default, not shown."""
        path = f"/api/v2/config/section/{section}/option/{option}"
        answer = self._send("GET", path, headers={"Accept": "application/json"}, accept=(403, 404))
        return str(answer.json()["sections"][0]["options"][0]["value"]) if answer.is_success else None

    def source(self, dag_id: str) -> str:
        """What the Code tab shows."""
        return str(self._json("GET", f"/api/v2/dagSources/{dag_id}", headers={"Accept": "application/json"})["content"])

    def trigger(
        self,
        dag_id: str,
        *,
        run_id: str | None = None,
        conf: Mapping[str, Any] | None = None,
        partition: str | None = None,
    ) -> str:
        """Start a run and return its id. `partition` is the key of a partitioned DAG's run."""
        run_id = run_id or f"manual__{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}__{uuid4().hex[:8]}"
        body: dict[str, Any] = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf or {})}
        if partition:
            body["partition_key"] = partition
        # 409: an earlier try of this very call got through although its answer did not.
        answer = self._send("POST", f"/api/v2/dags/{dag_id}/dagRuns", body, accept=(409,))
        return run_id if answer.status_code == 409 else str(answer.json()["dag_run_id"])

    def backfill(
        self,
        dag_id: str,
        first: str,
        last: str,
        *,
        max_active_runs: int = 1,
        again: Literal["none", "failed", "completed"] = "none",
    ) -> int:
        """Start runs for the partitions from `first` to `last` (ISO dates, both included, at most a century). Returns the
        backfill's id. `again`: of partitions that had a run, those that get another one."""
        _check_span(first, last)
        body = {
            "dag_id": dag_id,
            "from_date": f"{first}T00:00:00Z",
            "to_date": f"{last}T00:00:00Z",
            "max_active_runs": max_active_runs,
            "reprocess_behavior": again,
            "dag_run_conf": {},
        }
        return int(self._json("POST", "/api/v2/backfills", body)["id"])

    def backfills(self, dag_id: str) -> list[dict[str, Any]]:
        """All backfills of a DAG; one that is still going on has no `completed_at`."""
        return self._all("/api/v2/backfills", "backfills", dag_id=dag_id)

    def run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        return self._maybe(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Oldest first."""
        return self._all(f"/api/v2/dags/{dag_id}/dagRuns", "dag_runs")

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return self._all(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int) -> list[str]:
        """The messages of one attempt's log."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}"
        answer = self._json("GET", f"{path}?full_content=true", headers={"Accept": "application/json"})
        return [str(line["event"]) if isinstance(line, dict) else str(line) for line in answer["content"]]

    def xcom(self, dag_id: str, run_id: str, task_id: str, key: str = "return_value") -> Any:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        entry = self._maybe(f"{path}?deserialize=true")
        return None if entry is None else entry["value"]

    def asset_events(self) -> list[dict[str, Any]]:
        return self._all("/api/v2/assets/events", "asset_events")

    def set_note(self, dag_id: str, run_id: str, note: str) -> None:
        """Put `note` on a run; what Airflow finds too long is cut."""
        cut = note if len(note) <= NOTE_CHARS else note[: NOTE_CHARS - 1] + "…"
        self._json("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}", {"note": cut})

    def _maybe(self, path: str) -> dict[str, Any] | None:
        answer = self._send("GET", path, accept=(404,))
        return None if answer.status_code == 404 else dict(answer.json())

    def _all(self, path: str, key: str, **query: str) -> list[dict[str, Any]]:
        """Every page of a listing."""
        found: list[dict[str, Any]] = []
        more = "".join(f"&{name}={value}" for name, value in query.items())
        while True:
            page = self._json("GET", f"{path}?limit=100&offset={len(found)}{more}")
            found += page[key]
            if not page[key] or len(found) >= page["total_entries"]:
                return found

    def _json(self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        return self._send(method, path, body, headers=headers).json()

    def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
    ) -> httpx.Response:
        said = "no answer"
        for attempt, wait in enumerate((*_WAITS, None)):
            try:
                answer = self._http.request(method, path, json=body, headers={**self._login(), **(headers or {})})
            except httpx.TransportError as error:
                said = f"no answer ({error})"
            else:
                if answer.is_success or (answer.status_code in accept and (method == "GET" or attempt > 0)):
                    return answer
                said = f"{answer.status_code} {_detail(answer)}"
                if answer.status_code == 401 and attempt == 0:
                    self._token = None  # it may have run out
                elif answer.status_code not in _RETRIED:
                    break
            if wait is None:
                break
            time.sleep(wait)
        raise AirflowError(f"Airflow at {self.url}: {method} {path.partition('?')[0]}: {said}")

    def _login(self) -> dict[str, str]:
        if self._token is None:
            if self._user:  # noqa: SIM108
                answer = self._http.post("/auth/token", json=self._user)
            else:
                answer = self._http.get("/auth/token")
            if answer.status_code not in (200, 201):
                raise AirflowError(f"Airflow at {self.url} {self._no_token(answer.status_code)}")
            self._token = str(answer.json()["access_token"])
        return {"Authorization": f"Bearer {self._token}"}

    def _no_token(self, status: int) -> str:
        if self._user:
            return (
                f"gives no token for the user `{self._user['username']}` ({status}). Mend the login in "
                "SKILLSENGINE_AIRFLOW_URL."
            )
        return (
            f"gives no token without a password ({status}): only the embedded set-up does, where everybody is an admin. "
            "Put a login into SKILLSENGINE_AIRFLOW_URL (http://user:password@host)."
        )


def _check_span(first: str, last: str) -> None:
    """Raises AirflowError for dates that make no backfill, or one of so many runs that Airflow is busy with making them."""
    try:
        days = (date.fromisoformat(last) - date.fromisoformat(first)).days + 1
    except ValueError as error:
        raise AirflowError(f"backfill from {first!r} to {last!r}: {error}. Write the days as 2026-01-31.") from error
    if days < 1:
        raise AirflowError(f"backfill from {first} to {last}: it ends before it begins.")
    if days > MAX_BACKFILL_DAYS:
        raise AirflowError(
            f"backfill from {first} to {last}: these are {days} days, and one takes at most {MAX_BACKFILL_DAYS}. Begin at the "
            "spec's start_date, the earliest partition that a backfill may reach."
        )


def _detail(answer: httpx.Response) -> str:
    try:
        detail = answer.json()["detail"]
    except (ValueError, KeyError, TypeError):
        return answer.text[:300]
    return str(detail)[:1000]
