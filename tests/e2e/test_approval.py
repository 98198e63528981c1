"""`gate.approval: required` in the real Airflow: approved, refused, and never answered."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from skillsengine.pipeline.plan import find_sources, make_plan
from skillsengine.spec.load import load_spec
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.store import Store
from tests.e2e.conftest import Platform, ask, wait_for

CHAIN = ("format", "profile", "finetune", "evaluate", "register", "gate", "approve", "promote", "report")
GATE = "gate: {{min_gold_skills: 1, approval: required, approval_timeout: {timeout}}}\n"
ADS = 30


def prepare(platform: Platform, name: str, timeout: str) -> None:
    """A spec, and the scores of its run, by which its first version is better than the base."""
    more = GATE.format(timeout=timeout) + f"description: '{name} {{{{ run_id }}}}'\n"
    experiment, settings = load_spec(platform.write(name, more)).experiment, platform.settings
    plan, store = make_plan(experiment, find_sources(experiment, None, settings), settings), Store(settings.store_root)
    for subject, predicted in (("adapter", ["a", "b"]), ("base", [])):
        step = plan.step(f"evaluate[{subject}]")
        row = {"gold": ["a", "b"], "predicted": predicted, "raw": "", "parsed": True}
        with store.building("evaluate", step.digest) as out:
            lines = [json.dumps({"id": f"{n}", "key": f"{n}", **row}) + "\n" for n in range(ADS)]
            (out / "predictions.jsonl").write_text("".join(lines))
            summary = {"subject": subject, "partition": plan.partition, "rows": ADS, "f1": 1.0 * bool(predicted)}
            version = step.definition.version
            manifest = Manifest("evaluate", version, step.key, step.digest, step.config, step.inputs, summary)
            store.publish(out, manifest)
    platform.add(name, more)


def question(platform: Platform, name: str, run_id: str) -> str:
    """The path of the run's question, once it stands there."""

    def there() -> bool:
        run = platform.client.run(name, run_id)
        assert run is not None and run["state"] != "failed", run
        return platform.states(name, run_id).get("approve") == "awaiting_input"

    wait_for("the question", there, 600)
    return f"dags/{name}/dagRuns/{run_id}/taskInstances/approve/-1/hitlDetails"


def answer(platform: Platform, name: str, run_id: str, chosen: str) -> None:
    """Answer, and once more where the question is asked again: an answer that comes at once may be lost."""

    def taken() -> bool:
        state = platform.states(name, run_id).get("approve")
        path = question(platform, name, run_id) if state == "awaiting_input" else ""
        if path and not ask(platform, "GET", path)["response_received"]:
            ask(platform, "PATCH", path, {"chosen_options": [chosen], "params_input": {}})
        return state == "success"

    wait_for(f"the answer {chosen}", taken, 300)


def outcome(platform: Platform, name: str, run_id: str) -> tuple[str, int | None]:
    """(the run's note, the champion); the run and all of its tasks are a success."""
    run = platform.finish(name, run_id)
    assert run["state"] == "success", run["note"]
    assert platform.states(name, run_id) == dict.fromkeys(CHAIN, "success")
    return str(run["note"]), Catalog.open(platform.settings.catalog_url).alias(name, "champion")


@pytest.mark.nightly
def test_a_person_approves_refuses_or_never_answers(platform: Platform) -> None:
    for name, timeout in (("says-yes", "1h"), ("says-no", "1h"), ("silent", "5s")):
        prepare(platform, name, timeout)
    runs = {name: platform.client.trigger(name) for name in ("says-yes", "says-no", "silent")}

    path = question(platform, "says-yes", runs["says-yes"])
    detail: dict[str, Any] = ask(platform, "GET", path)
    assert detail["subject"] == "Promote says-yes@1?" and detail["options"] == ["Approve", "Refuse"]
    assert "says-yes@1 has f1 1.000 against 0.000 of the untuned base, on 30 ads with 60 gold skills" in detail["body"]
    answer(platform, "says-yes", runs["says-yes"], "Approve")
    note, champion = outcome(platform, "says-yes", runs["says-yes"])
    assert champion == 1 and note.endswith(" · champion")
    moves = Catalog.open(platform.settings.catalog_url).alias_moves("says-yes", "champion")
    assert "; approved by " in moves[-1].reason

    question(platform, "says-no", runs["says-no"])
    answer(platform, "says-no", runs["says-no"], "Refuse")
    note, champion = outcome(platform, "says-no", runs["says-no"])
    assert champion is None and " · not promoted: refused by " in note

    started = time.monotonic()
    note, champion = outcome(platform, "silent", runs["silent"])
    assert (
        champion is None and "nobody answered within 5s: `skillsengine promote silent@1` makes it the champion" in note
    )
    print(f"\nnever answered: over {time.monotonic() - started:.0f} s after the others")

    again = platform.client.trigger("says-yes")
    platform.finish("says-yes", again)
    assert platform.client.xcom("says-yes", again, "approve") == {"asked": False}, "the champion already"
