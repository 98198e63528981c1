"""The last task of every run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillsengine.airflow import tasks
from skillsengine.airflow.dag import build
from skillsengine.pipeline.run import Run, open_run
from skillsengine.settings import load_settings
from skillsengine.spec.load import resolved
from skillsengine.storage.catalog import Catalog, CatalogUnavailable
from tests.airflow.support import make_context
from tests.pipeline.project import make_project, tiny_experiment
from tests.sinks import PostSink

BEFORE = ("format", "profile", "finetune", "evaluate", "register", "gate", "promote")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = make_project(tmp_path, base=False)
    monkeypatch.setenv("SKILLSENGINE_PROJECT", str(settings.project))
    monkeypatch.delenv("SKILLSENGINE_AIRFLOW_URL", raising=False)
    return settings.project


def report(
    project: Path,
    states: dict[str, str],
    error: tuple[str, str] | None = None,
    *,
    notify: dict[str, Any] | None = None,
    retries_left: int = 0,
    **context: Any,
) -> dict[str, Any]:
    experiment = tiny_experiment(**({"notify": notify} if notify else {}))
    retrain, _ = build(experiment.model_dump_json(), source="s", digest="d", project=str(project))
    given = make_context(states=states, **context)
    given["ti"].max_tries = retries_left
    if error:
        given["ti"].xcoms[error[0], tasks.ERROR_KEY] = error[1]
    result: dict[str, Any] = retrain.get_task("report").execute(given)
    return result


SWEPT: dict[str, Any] = {"sweep": {"lora.r": [2, 4]}}


def sweep_report(project: Path, trials: tuple[str, str], select: str = "success", said: str = "") -> dict[str, Any]:
    states = dict.fromkeys(("format", "profile", "trials"), "success")
    states |= {"finetune_0": trials[0], "finetune_1": trials[1], "select": select}
    states |= dict.fromkeys(BEFORE[3:], "success" if select == "success" else "upstream_failed")
    retrain, _ = build(tiny_experiment(**SWEPT).model_dump_json(), source="s", digest="d", project=str(project))
    given = make_context(states=states)
    given["ti"].xcoms = {("trials", "return_value"): ["finetune[r=2]", "finetune[r=4]"]}
    if said:
        given["ti"].xcoms["finetune_1", tasks.ERROR_KEY] = said
    result: dict[str, Any] = retrain.get_task("report").execute(given)
    return result


def test_a_trial_that_failed_is_told_by_its_name(project: Path) -> None:
    result = sweep_report(project, ("success", "failed"), "upstream_failed", "the device ran out of memory")
    assert result == {"state": "failed", "note": "failed: finetune[r=4]: the device ran out of memory"}
    result = sweep_report(project, ("success", "upstream_failed"), "upstream_failed")
    assert result["note"] == "failed: finetune: did not run (upstream_failed)"


def test_a_trial_that_diverged_fails_nothing(project: Path) -> None:
    assert sweep_report(project, ("success", "skipped"))["state"] == "success"


def row(project: Path) -> Any:
    return Catalog.open(f"sqlite:///{project / '.skillsengine' / 'catalog.db'}").get_run("tiny", "manual__1")


def test_a_failed_stage_closes_the_run_with_what_it_said(project: Path) -> None:
    states = {"format": "success", "profile": "success", "finetune": "failed"} | dict.fromkeys(
        BEFORE[3:], "upstream_failed"
    )
    result = report(project, states, ("finetune", "the base is not there"))
    assert result == {"state": "failed", "note": "failed: finetune: the base is not there"}
    closed = row(project)
    assert (closed.state, closed.note) == ("failed", result["note"])
    assert closed.error == "finetune: the base is not there" and closed.finished


def test_a_task_that_was_killed_could_say_nothing(project: Path) -> None:
    result = report(project, dict.fromkeys(BEFORE, "failed"))
    assert result["note"] == "failed: format: see its log; the process was ended before it could say why"


def test_a_run_that_could_not_be_opened_has_a_note_too(project: Path) -> None:
    states = {"format": "failed"} | dict.fromkeys(BEFORE[1:], "upstream_failed")
    result = report(project, states, ("format", "no data for 2025-01"), params={"partition": "2025-01"})
    assert result == {"state": "failed", "note": "failed: format: no data for 2025-01"}
    assert row(project) is None


def test_a_task_that_was_skipped_by_hand_is_no_success(project: Path) -> None:
    states = dict.fromkeys(BEFORE, "success") | {"gate": "skipped"}
    assert report(project, states)["note"] == "failed: gate: did not run (skipped)"


def test_success_without_a_version(project: Path) -> None:
    result = report(project, dict.fromkeys(BEFORE, "success"))
    assert result == {"state": "success", "note": result["note"]} and result["note"].startswith(
        "done; nothing was registered"
    )
    assert row(project).state == "success"


def test_scores_by_hand_tell_what_was_overridden(project: Path) -> None:
    experiment = tiny_experiment()
    _, evaluations = build(experiment.model_dump_json(), source="s", digest="d", project=str(project))
    given = make_context("tiny.evaluations", states={"score": "success"}, params={"evaluate.max_rows": 3})
    given["ti"].xcoms["score", "return_value"] = {"cells": {"tiny@1": {"f1": 0.5}}}
    result = evaluations.get_task("report").execute(given)
    assert result["note"] == "2026-03: tiny@1 F1 0.500 · overridden: evaluate.max_rows: null -> 3"


@pytest.mark.parametrize(
    ("state", "note"), [("success", "3 cells filled, 1 were there"), ("failed", "failed: score: gone")]
)
def test_a_run_that_fills_cells_has_a_note(project: Path, state: str, note: str) -> None:
    """It has no partition and no plan of its own."""
    _, evaluations = build(tiny_experiment().model_dump_json(), source="s", digest="d", project=str(project))
    given = make_context("tiny.evaluations", states={"score": state}, params={"cells": ["1@2026-02", "1@2026-03"]})
    given["ti"].xcoms["score", "return_value"] = {"done": 3, "cached": 1, "not_scored": {}}
    given["ti"].xcoms["score", "error"] = "gone"
    assert evaluations.get_task("report").execute(given)["note"] == note
    [run] = Catalog.open(f"sqlite:///{project / '.skillsengine' / 'catalog.db'}").list_runs()
    assert (run.state, run.note) == (state, note)


def told(monkeypatch: pytest.MonkeyPatch, sink: PostSink) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_TEAM", f"http://127.0.0.1:{sink.port}")
    monkeypatch.setattr("skillsengine.airflow.report.airflow_address", lambda: None)


def test_a_failure_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"format": "failed"} | dict.fromkeys(BEFORE[1:], "upstream_failed")
    with PostSink() as sink:
        told(monkeypatch, sink)
        report(
            project, states, ("format", "no labels"), notify={"connection": "team"}, key="2026-03", run_type="scheduled"
        )
    assert [post.body["text"] for post in sink.posts] == [
        "tiny, partition 2026-03: failed in format\nno labels\n\nscheduled run manual__1"
    ]


def test_what_cannot_be_told_stands_in_the_note(project: Path) -> None:
    states = {"format": "failed"} | dict.fromkeys(BEFORE[1:], "upstream_failed")
    result = report(project, states, ("format", "no labels"), notify={"connection": "nobody"})
    assert result["state"] == "failed"
    assert result["note"].startswith(
        "failed: format: no labels · the failure is not told: notify.connection: `nobody`: Airflow has no such connection. "
    )
    closed = row(project)
    assert (closed.note, closed.error) == (result["note"], "format: no labels")


@pytest.mark.parametrize(("left", "messages"), [(2, 0), (0, 1)])
def test_where_the_catalog_is_away_the_last_attempt_tells(
    left: int, messages: int, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKILLSENGINE_CATALOG", f"sqlite:///{project}")  # a folder: it cannot be opened
    states = {"format": "failed"} | dict.fromkeys(BEFORE[1:], "upstream_failed")
    with PostSink() as sink:
        told(monkeypatch, sink)
        with pytest.raises(CatalogUnavailable):
            report(project, states, ("format", "no labels"), notify={"connection": "team"}, retries_left=left)
    assert [post.body["headline"] for post in sink.posts] == ["failed in format"] * messages


def test_an_airflow_that_does_not_answer_fails_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SKILLSENGINE_AIRFLOW_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("skillsengine.airflow.client._WAITS", (0.0,))
    assert report(project, dict.fromkeys(BEFORE, "success"))["state"] == "success"
    assert "the note stands in this log and in the catalog only: Airflow at http://127.0.0.1:9" in caplog.text


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (
            {"cells": {"tiny@1": {"parse_rate": 1.0, "verbatim_rate": 0.834, "skills_per_ad": 3.14}}},
            "2026-03: tiny@1 unlabelled: parsed 100%, verbatim 83%, 3.1 skills an ad",
        ),
        (
            {"cells": {"tiny@1": {"f1": 0.5, "drift": {"unseen_skills": {"share": 0.41, "chance": 0.1}}}}},
            "2026-03: tiny@1 F1 0.500 · tiny@1: drift: unseen skills 41% (threshold 30%)",
        ),
        (
            {"cells": {}, "rejected": {"2026-03": {"rows": 8, "rejected": 1, "reasons": {"not JSON": 1}}}},
            "2026-03: nothing was scored · 1 of 9 rows rejected (not JSON: 1)",
        ),
        ({"cells": {}, "not_scored": {"tiny@1": "..."}}, "tiny@1 not scored: it was trained on these ads"),
        (
            {"done": 3, "cached": 1, "not_scored": {"tiny@1 on 2026-02": "..."}},
            "3 cells filled, 1 were there, 1 could not be",
        ),
        (
            {"done": 3, "cached": 1, "not_scored": {}, "rejected": {"b": {"rejected": 1}, "a": {"rejected": 2}}},
            "3 cells filled, 1 were there, 3 rows rejected in a, b",
        ),
    ],
)
def test_what_came_of_an_evaluation(project: Path, result: dict[str, object], told: str) -> None:
    """Ads that a version was trained on are no ads without labels."""
    _, evaluations = build(tiny_experiment().model_dump_json(), source="s", digest="d", project=str(project))
    assert told in evaluations.get_task("report")._scores(result, "2026-03")


def registered(project: Path) -> Run:
    """The run that the context names, whose adapter is registered although nothing was trained."""
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="manual__1", settings=load_settings(project))
    row = run.catalog.allocate_version(
        "tiny",
        run.plan.adapter.digest,
        experiment="tiny",
        partition=run.partition,
        run_id=run.id,
        spec=resolved(run.experiment),
    )
    run.catalog.publish_version("tiny", row.number, "r" * 64, "/nowhere", {}, {})
    return run


def test_the_version_has_a_report_beside_it(
    project: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = registered(project)
    shown: list[Any] = []
    monkeypatch.setattr("skillsengine.pipeline.shown.show_report", lambda *told: shown.extend(told))
    with caplog.at_level("INFO"):
        result = report(project, dict.fromkeys(BEFORE, "success"))
    place = run.store.root / "reports" / "tiny" / "1.html"
    assert result["report"] == str(place) and "<title>tiny@1: report</title>" in place.read_text("utf-8")
    assert f"report: {place}" in caplog.messages
    assert row(project).data["report"] == str(place)
    assert (shown[0].name, shown[3], shown[4]) == ("tiny@1", "manual__1", place.read_text("utf-8")), "and in W&B"


def test_a_report_that_cannot_be_written_is_told_and_fails_nothing(
    project: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = registered(project)
    run.store.root.mkdir(parents=True, exist_ok=True)
    (run.store.root / "reports").write_text("in the way")
    result = report(project, dict.fromkeys(BEFORE, "success"))
    assert result["state"] == "success" and "report" not in result
    assert (
        "the report of this run's version is not written; `skillsengine report tiny@latest` tries again"
        in caplog.messages
    )
    assert "/reports/tiny/1.html: cannot be written: Not a directory." in caplog.text


@pytest.mark.parametrize("reported", ["success", "failed"])
def test_a_failed_task_that_was_cleared_alone_closes_the_run_anew(
    project: Path, reported: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow's "only failed tasks": the report has run, and does not run again."""
    report(
        project, dict.fromkeys(BEFORE, "success") | {"gate": "failed", "promote": "upstream_failed"}, ("gate", "away")
    )
    assert (row(project).state, row(project).note) == ("failed", "failed: gate: away")
    states = dict.fromkeys(BEFORE, "success") | {"promote": "running", "report": reported}
    promote = retrain_of(project).get_task("promote")
    monkeypatch.setattr(type(promote), "_work", lambda *_: {})
    promote.execute(make_context(states=states))
    assert (row(project).state, row(project).error) == ("success", None)
    assert "failed" not in row(project).note


def test_a_cleared_task_that_fails_again_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(
        project, dict.fromkeys(BEFORE, "success") | {"gate": "failed", "promote": "upstream_failed"}, ("gate", "away")
    )
    gate = retrain_of(project).get_task("gate")

    def fails(*_: Any) -> None:
        raise ValueError("no such metric")

    monkeypatch.setattr(type(gate), "_work", fails)
    given = make_context(
        states=dict.fromkeys(BEFORE, "success") | {"gate": "running", "promote": "upstream_failed", "report": "success"}
    )
    given["ti"].xcoms["gate", tasks.ERROR_KEY] = "no such metric"
    with pytest.raises(Exception, match="no such metric"):
        gate.execute(given)
    assert row(project).note == "failed: gate: no such metric"


@pytest.mark.parametrize("left", [{"report": "None"}, {}, {"promote": "None"}])
def test_while_something_is_to_come_a_task_says_nothing(
    project: Path, left: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report(
        project, dict.fromkeys(BEFORE, "success") | {"gate": "failed", "promote": "upstream_failed"}, ("gate", "away")
    )
    gate = retrain_of(project).get_task("gate")
    monkeypatch.setattr(type(gate), "_work", lambda *_: {})
    states = dict.fromkeys(BEFORE, "success") | ({"report": "success"} if "promote" in left else {}) | left
    gate.execute(make_context(states=states))
    assert row(project).note == "failed: gate: away"


def retrain_of(project: Path) -> Any:
    retrain, _ = build(tiny_experiment().model_dump_json(), source="s", digest="d", project=str(project))
    return retrain
