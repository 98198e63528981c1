"""One run, from the ads to a registered adapter, with a real (tiny) base: cached, forced, limited, failed, pinned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.annotating import export_ads, import_labels
from skillsengine.pipeline.evaluations import run_evaluation
from skillsengine.pipeline.lineage import trace
from skillsengine.pipeline.matrix import build_matrix
from skillsengine.pipeline.plan import PlanError, RunOptions
from skillsengine.pipeline.promotion import run_gate, run_promote
from skillsengine.pipeline.run import Run, finish_run, open_run, run_stage
from skillsengine.settings import Settings
from skillsengine.spec.errors import SpecError
from skillsengine.spec.schema import STAGES
from skillsengine.stages.contract import Limit, Progress, StageError
from skillsengine.storage.catalog import Catalog, CatalogError
from tests.pipeline.project import make_project, tiny_experiment, write_month


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return make_project(tmp_path_factory.mktemp("run") / "project")


def whole(run: Run) -> dict[str, bool]:
    """Run every stage; step id -> whether it was cached."""
    return {step["id"]: step["cached"] for stage in STAGES for step in run_stage(run, stage)["steps"]}


@pytest.fixture(scope="module")
def first(settings: Settings) -> Run:
    """A finished first run."""
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="first", settings=settings)
    seen: list[tuple[str, Progress]] = []
    for stage in STAGES:
        run_stage(run, stage, lambda step, progress: seen.append((step, progress)))
    run_gate(run)
    run_promote(run)
    finish_run(run, "success")
    assert any(step == "finetune" and progress.fraction for step, progress in seen)
    return run


def test_a_run_registers_a_version_with_its_scores(first: Run) -> None:
    version = first.catalog.resolve("tiny", "latest")
    assert (version.number, version.state, version.partition) == (1, "ready", "2026-03")
    assert {"adapter", "base", "lexicon"} <= set(version.metrics)
    assert (Path(version.path) / "adapter_config.json").is_file()
    cells = first.catalog.cells(experiment="tiny", partition="2026-03")
    assert {cell.kind for cell in cells} == {"adapter", "base", "lexicon"}
    pinned = first.catalog.run_by_id(first.id).options
    assert pinned["there"] == [["2026-01", "2026-03"]], "which partitions had data, for pages that do not look"


def test_the_same_again_is_all_cached(first: Run, settings: Settings) -> None:
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="again", settings=settings)
    assert all(whole(run).values())
    run_gate(run)
    assert finish_run(run, "success") == "unchanged since tiny@1"
    assert len(run.catalog.versions("tiny")) == 1


def test_force_makes_another_adapter_beside_the_first(first: Run, settings: Settings) -> None:
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="forced", settings=settings, force=True)
    cached = whole(run)
    assert not cached["finetune"]
    assert cached["profile"]
    assert cached["evaluate[base]"]
    assert [version.number for version in run.catalog.versions("tiny")] == [1, 2]


def test_a_smoke_test_registers_nothing(first: Run, settings: Settings) -> None:
    before = len(first.catalog.versions("tiny"))
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="smoke", settings=settings, options=RunOptions(Limit(3)))
    whole(run)
    assert run_stage(run, "register")["skipped"] == "a smoke test (--limit) registers nothing"
    assert run.store.get("finetune", run.plan.step("finetune").digest).summary["steps"] <= 5  # type: ignore[union-attr]
    assert len(run.catalog.versions("tiny")) == before


def test_an_edit_in_mid_run_does_not_reach_the_run(settings: Settings) -> None:
    opened = open_run(tiny_experiment(), dag_id="tiny", run_id="pinned", settings=settings)
    edited = tiny_experiment(train={"epochs": 9})
    again = open_run(edited, dag_id="tiny", run_id="pinned", settings=settings, partition="2026-02")
    assert again.experiment == opened.experiment
    assert again.partition == "2026-03"
    assert again.plan.steps == opened.plan.steps


def test_an_override_is_for_one_run_alone_and_is_told(first: Run, settings: Settings) -> None:
    changed = {"train.epochs": 2, "lora.r": 2}
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="overridden", settings=settings, overrides=changed)
    assert run.overrides == ("lora.r: 4 -> 2", "train.epochs: 1.0 -> 2.0")
    row = run.catalog.get_run("tiny", "overridden")
    assert row is not None and (row.spec["train"]["epochs"], row.spec["lora"]["r"]) == (2, 2)
    before = {step.id: step.digest for step in first.plan.steps}
    told = ("finetune", "evaluate[lexicon]", "evaluate[adapter]", "register")
    assert {step.id for step in run.plan.steps if step.digest != before[step.id]} == set(told)
    # Once it is pinned nothing else counts: the spec may be edited until the override no longer goes with it.
    again = open_run(tiny_experiment(), dag_id="tiny", run_id="overridden", settings=settings, overrides={"lora.r": 0})
    assert (again.experiment, again.overrides) == (run.experiment, run.overrides)
    whole(run)
    note = finish_run(run, "success")
    assert note.startswith("tiny@") and note.endswith(" · overridden: lora.r: 4 -> 2, train.epochs: 1.0 -> 2.0")
    version = run.catalog.find_version("tiny", run.plan.step("finetune").digest)
    assert version is not None and version.spec["lora"]["r"] == 2
    assert trace(version, run.store, run.catalog).as_json()["overrides"] == list(run.overrides)
    assert trace(first.catalog.resolve("tiny", "1"), run.store, run.catalog).overrides == ()


def test_an_override_that_the_spec_refuses_opens_no_run(settings: Settings) -> None:
    with pytest.raises(SpecError, match=r"^conf: lora\.r: expected an int >= 1 and <= 1024, found 0\n"):
        open_run(tiny_experiment(), dag_id="tiny", run_id="wrong", settings=settings, overrides={"lora.r": 0})
    assert Catalog.open(settings.catalog_url).get_run("tiny", "wrong") is None


def test_evaluations_score_a_version_on_another_partition_once(first: Run, settings: Settings) -> None:
    write_month(settings.project / "data" / "ads" / "2026-04.jsonl", "2026-04")
    run = open_run(
        tiny_experiment(),
        dag_id="tiny.evaluations",
        run_id="e1",
        settings=settings,
        partition="2026-04",
        kind="evaluations",
        versions=("1", "nobody"),
    )
    result = run_evaluation(run)
    assert set(result["cells"]) == {"tiny@1"}
    assert result["passed_over"] == ["nobody"]
    before = {cell.artifact_digest for cell in run.catalog.cells(partition="2026-04")}
    run_evaluation(run)
    assert {cell.artifact_digest for cell in run.catalog.cells(partition="2026-04")} == before
    (settings.project / "data" / "ads" / "2026-04.jsonl").unlink()


def test_evaluations_without_a_version_say_so(settings: Settings) -> None:
    other = tiny_experiment("other")
    run = open_run(other, dag_id="other.evaluations", run_id="e", settings=settings, kind="evaluations")
    with pytest.raises(
        CatalogError, match="other: none of champion, latest names a registered version. Run the experiment"
    ):
        run_evaluation(run)


def unlabelled(path: Path, key: str) -> None:
    """A month as `write_month` writes it, without labels; every second ad has an empty column, the others none."""
    write_month(path, key)
    ads = [json.loads(line) for line in path.read_text().splitlines()]
    for number, ad in enumerate(ads):
        ad["skills"] = None
        if number % 2:
            del ad["skills"]
    path.write_text("".join(json.dumps(ad) + "\n" for ad in ads))


def test_a_partition_without_labels_is_trained_for_and_scored_without_them(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project")
    unlabelled(settings.project / "data" / "ads" / "2026-03.jsonl", "2026-03")
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="unlabelled", settings=settings)
    whole(run)
    for subject in ("adapter", "base", "lexicon"):
        summary = run.store.get("evaluate", run.plan.step(f"evaluate[{subject}]").digest).summary  # type: ignore[union-attr]
        assert (summary["labelled"], summary["labelled_rows"], summary["rows"]) == (False, 0, 8)
        assert {"parse_rate", "verbatim_rate", "skills_per_ad"} <= set(summary)
        assert not {"f1", "gold_skills", "token_f1"} & set(summary)
    verdict = run_gate(run)
    why = (
        "there are no ads to compare tiny@1 and the untuned base on: 2026-03: no labels; there is no earlier partition left "
        "that neither was trained on"
    )
    assert (verdict["verdict"], verdict["reason"]) == ("undecided", why)
    assert run_promote(run) == {"moved": False, "reason": why}
    note = finish_run(run, "success")
    assert note.startswith("tiny@1 · 2026-03 · unlabelled: ") and note.endswith(f" · undecided: {why}")
    version = run.catalog.resolve("tiny", "1")
    card = (Path(version.path) / "README.md").read_text()
    assert "## Scores" in card and "nan" not in card


def test_a_month_without_labels_is_labelled_by_people_and_scored_again(
    first: Run, settings: Settings, tmp_path: Path
) -> None:
    month = settings.project / "data" / "ads" / "2026-05.jsonl"
    unlabelled(month, "2026-05")
    month.write_text(month.read_text() + "{broken\n")
    data = {"source": "data/ads/{partition}.jsonl", "window": 2, "max_rejected": 0.2}
    experiment, catalog = tiny_experiment(evaluations={"baselines": []}, data=data), first.catalog

    def evaluation(run_id: str) -> Run:
        asked: dict[str, Any] = {"partition": "2026-05", "kind": "evaluations", "versions": ("1",)}
        return open_run(experiment, dag_id="tiny.evaluations", run_id=run_id, settings=settings, **asked)

    def digests() -> dict[str, str]:
        found = build_matrix(experiment, settings, catalog, versions=("1",))
        return {key: cell.digest for (_, key), cell in found.cells.items()}

    told: list[str] = []
    export = export_ads(experiment, settings, catalog, version="1", rows=2, told=told.append)
    assert (export.partition, len(export.lines), export.version) == ("2026-05", 2, "tiny@1")
    assert told[0] == "tiny@1 reads 2 ads that it was not scored on", "so it answers now"
    before, pinned = digests(), evaluation("unlabelled")
    scored = run_evaluation(pinned)["cells"]["tiny@1"]
    assert (scored["labelled"], scored["rows"]) == (False, 8)
    told.clear()
    export = export_ads(experiment, settings, catalog, version="1", told=told.append)
    assert (told, len(export.lines)) == ([], 8), "what its cell has extracted is what it proposes"

    person = [line | {"label": [[line["text"].index(" by"), len(line["text"]), "SKILL"]]} for line in export.lines[:5]]
    file = tmp_path / "back.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in person))
    assert import_labels(experiment, settings, catalog, file).new == 5

    after = build_matrix(experiment, settings, catalog, versions=("1",))
    assert {key for key, digest in digests().items() if before[key] != digest} == {"2026-05"}, "and no other month"
    assert [(cell.partition, cell.outdated is not None) for cell in after.missing()] == [("2026-05", True)]
    again = run_evaluation(evaluation("unlabelled"))["cells"]["tiny@1"]
    assert again["labelled"] is False, "a run that is open goes on with what it was opened with"
    result = run_evaluation(evaluation("labelled"))
    scored = result["cells"]["tiny@1"]
    assert (scored["labelled_rows"], scored["rows"], scored["span_ads"]) == (5, 8, 5)
    after = build_matrix(experiment, settings, catalog, versions=("1",))
    counted = {"rows": 8, "rejected": 1, "reasons": {"not JSON": 1}}
    assert (after.missing(), result["rejected"]) == ([], {"2026-05": counted})
    assert after.as_json()["partitions"][-1] == {"key": "2026-05", "state": "data", **counted}
    month.unlink()


def test_a_window_without_labels_says_which_column_was_read(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project")
    for key in ("2026-01", "2026-02"):
        unlabelled(settings.project / "data" / "ads" / f"{key}.jsonl", key)
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="none", settings=settings)
    run_stage(run, "format")
    with pytest.raises(
        StageError,
        match=r"no row to train on. Partitions read: 2026-01, 2026-02; 16 rows, 0 of them with labels \(column `skills`\)",
    ):
        run_stage(run, "profile")


def test_near_copies_of_the_window_are_not_scored(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project")
    text = " ".join(f"word{number}" for number in range(80))
    ads = {"2026-01": text + " Kiln.", "2026-03": text + " Oven."}
    for key, ad in ads.items():
        with (settings.project / "data" / "ads" / f"{key}.jsonl").open("a") as file:
            file.write(json.dumps({"id": f"near-{key}", "job_description": ad, "skills": ["word3"]}) + "\n")
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="near", settings=settings)
    for stage in ("format", "profile", "finetune", "evaluate"):
        run_stage(run, stage)
    for subject, counts in (("adapter", (8, 1)), ("lexicon", (8, 1)), ("base", (9, 0))):
        summary = run.store.get("evaluate", run.plan.step(f"evaluate[{subject}]").digest).summary  # type: ignore[union-attr]
        assert (summary["rows"], summary["excluded_near_copies"]) == counts


def test_a_failed_stage_publishes_nothing_and_tells_the_catalog(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project", ("2026-01", "2026-02"))
    bad = settings.project / "data" / "ads" / "2026-01.jsonl"
    bad.write_text('{"id": "1", "job_description": "", "skills": []}\n')
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="bad", settings=settings)
    with pytest.raises(StageError, match=r"2026-01\.jsonl"):
        run_stage(run, "format")
    steps = {step.step_id: step for step in run.catalog.steps_of(run.id)}
    assert steps["format[2026-01]"].state == "failed"
    assert "2026-01.jsonl" in (steps["format[2026-01]"].error or "")
    assert run.store.get("format", run.plan.step("format[2026-01]").digest) is None
    assert not list((settings.store_root / "building").glob("[!.]*"))
    with pytest.raises(
        PlanError, match=r"the format artifact .* is not in the store .*: run stage `format` of this run first"
    ):
        run_stage(run, "profile")


def test_data_that_changes_under_a_run_fails_it_plainly(tmp_path: Path) -> None:
    settings = make_project(tmp_path / "project", ("2026-01", "2026-02"), base=False)
    run = open_run(tiny_experiment(), dag_id="tiny", run_id="moved", settings=settings)
    write_month(settings.project / "data" / "ads" / "2026-01.jsonl", "2026-01", salt=3)
    with pytest.raises(StageError, match="changed since"):
        run_stage(run, "format")


def test_the_manifest_names_what_determined_the_artifact(first: Run) -> None:
    step = first.plan.step("finetune")
    artifact = first.store.get("finetune", step.digest)
    assert artifact is not None
    told = json.loads((artifact.path / "manifest.json").read_text())
    assert told["config"]["train.learning_rate"] == 0.01
    assert told["inputs"] == dict(step.inputs)
    assert told["environment"]["torch"]


def test_the_catalog_can_be_opened_by_its_address(first: Run, settings: Settings) -> None:
    assert Catalog.open(settings.catalog_url).resolve("tiny", "1").number == 1
