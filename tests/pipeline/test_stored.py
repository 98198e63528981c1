"""The spec of a version as today's schema reads it, and how its artifacts were made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from skillsengine.pipeline.stored import Made, departures, made_then, made_today, stored_spec
from skillsengine.settings import Settings
from skillsengine.spec.load import resolved
from skillsengine.spec.schema import Experiment
from skillsengine.storage.artifact import Manifest
from skillsengine.storage.catalog import CatalogError, VersionRow
from skillsengine.storage.store import Store

EXPERIMENT = Experiment.model_validate({"name": "job", "schedule": "none", "data": {"source": "ads"}})
STEPS = ["format", "profile", "finetune", "evaluate[base]", "evaluate[lexicon]", "evaluate[adapter]", "register"]


def version(spec: dict[str, Any], **columns: Any) -> VersionRow:
    return VersionRow(model="job", number=7, spec=spec, **columns)


def test_a_spec_of_today_is_read_as_it_is() -> None:
    spec = stored_spec(version(resolved(EXPERIMENT)))
    assert (spec.experiment, spec.missing, spec.unknown) == (EXPERIMENT, (), ())


def test_what_is_missing_takes_todays_defaults_and_what_is_unknown_is_left_out() -> None:
    then = resolved(EXPERIMENT)
    del then["notify"], then["data"]["wait"]
    then["lora"]["magic"] = 3
    then["distil"] = {"r": [1]}
    then["evaluate"]["shots"][1]["note"] = "x"
    row = version(then)
    spec = stored_spec(row)
    assert spec.experiment == EXPERIMENT
    assert spec.missing == ("data.wait", "notify")
    assert sorted(spec.unknown) == ["distil", "evaluate.shots[1].note", "lora.magic"]
    assert "distil" in row.spec  # a version is never changed


def test_a_value_that_is_not_allowed_any_more() -> None:
    then = resolved(EXPERIMENT)
    then["base"]["quantization"] = "int4"
    then["base"]["odd"] = 1
    with pytest.raises(CatalogError) as caught:
        stored_spec(version(then))
    assert str(caught.value) == (
        "the spec that made job@7 is not allowed by this skillsengine: base.quantization: Input should be 'nf4', 'int8' or "
        "'none'. Compare with its text instead: `skillsengine lineage job@7` tells the commit."
    )


def test_a_rule_that_there_was_not_then() -> None:
    then = resolved(EXPERIMENT) | {"schedule": "0 3 * * *"}
    with pytest.raises(CatalogError, match=r"skillsengine: start_date: missing\. A dated source or a cron needs"):
        stored_spec(version(then))


def keep(store: Store, stage: str, digest: str, made: int, config: dict[str, Any] | None = None) -> None:
    path = store.path_of(stage, digest)
    path.mkdir(parents=True)
    manifest = Manifest(stage, made, None, digest, config or {}, {}, {})
    (path / "manifest.json").write_text(manifest.to_json(), "utf-8")


def test_how_the_artifacts_of_a_version_were_made(tmp_path: Path) -> None:
    store = Store(tmp_path)
    keep(store, "format", "1" * 64, 3)
    keep(store, "format", "2" * 64, 4)
    keep(store, "finetune", "3" * 64, 2, {"base.fingerprint": "abc", "rerun": 1})
    keep(store, "register", "4" * 64, 2)
    keep(store, "evaluate", "5" * 64, 1)
    row = version(
        {},
        adapter_digest="3" * 64,
        artifact_digest="4" * 64,
        lineage={
            "format": {"2026-01": "2" * 64, "2026-02": "1" * 64},
            "profile": "6" * 64,  # the store has lost it
            "evaluate": {"base": "5" * 64},
        },
    )
    assert made_then(row, store) == {
        "format": Made(3),
        "finetune": Made(2, "abc", 1),
        "register": Made(2),
        "evaluate[base]": Made(1),
    }


def test_how_they_are_made_today(tmp_path: Path) -> None:
    settings = Settings(tmp_path, tmp_path / "home", "sqlite://", ())
    today = made_today(EXPERIMENT, settings)
    assert {step: made.fingerprint for step, made in today.items()} == dict.fromkeys(STEPS)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "weights").write_text("x")
    local = EXPERIMENT.model_copy(update={"base": EXPERIMENT.base.model_copy(update={"model": "base"})})
    first = made_today(local, settings)["finetune"].fingerprint
    (tmp_path / "base" / "weights").write_text("y")
    assert first
    assert made_today(local, settings)["finetune"].fingerprint not in (None, first)


def test_departures_in_words() -> None:
    before = {"format": Made(3), "finetune": Made(2, "abc", 1), "profile": Made(2, "abc"), "register": Made(2)}
    after = {"format": Made(4), "finetune": Made(2, "xyz"), "profile": Made(2, "xyz"), "evaluate[base]": Made(9)}
    assert departures(before, after, same_base=True) == {
        "format": "version 3 of the stage -> 4",
        "finetune": "the files of base.model, --force (training number 1 -> 0)",
        "profile": "the files of base.model",
    }
    assert departures(before, after, same_base=False) == {
        "format": "version 3 of the stage -> 4",
        "finetune": "--force (training number 1 -> 0)",
    }
    assert departures(before, before, same_base=True) == {}
