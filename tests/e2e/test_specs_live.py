"""A YAML file dropped into experiments/ of a running Airflow: it appears, breaks, is mended, goes."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.e2e.conftest import Platform, ask, wait_for

SOON = 60.0
"""Seconds that a change may take on a busy machine, the start of the DAG processor included, which `up` does not wait for; how
long it takes is measured by benchmarks/specs.py."""


def seconds_until(what: str, look: Callable[[], object]) -> float:
    started = time.monotonic()
    wait_for(what, look, SOON)
    return time.monotonic() - started


def error_of(platform: Platform, name: str) -> str | None:
    texts = [e["stack_trace"] for e in platform.client.import_errors() if e["filename"] == f"{name}.yaml.py"]
    return texts[0] if texts else None


@pytest.mark.nightly
def test_a_new_spec_appears_and_an_edit_is_seen(platform: Platform) -> None:
    platform.write("appears")
    took = [seconds_until("the DAG", lambda: platform.client.dag("appears"))]
    dag = platform.client.dag("appears.evaluations")
    assert dag is not None and not dag["is_paused"]
    source = platform.client.source("appears")
    assert source.index("name: appears\n") < 200, "the Code tab shows the YAML"
    for text in ("First", "Second", "First"):  # back to an earlier text as well
        platform.write("appears", f"description: {text} text.\n")
        took.append(
            seconds_until(
                f"the edit to {text}",
                lambda text=text: (platform.client.dag("appears") or {})["description"] == f"{text} text.",
            )
        )
    print("seconds to appear and for each edit:", [f"{t:.1f}" for t in took], f"up: {platform.started_in:.1f}")


def test_a_broken_edit_is_an_import_error_while_everything_goes_on(platform: Platform) -> None:
    platform.add("breaks")
    platform.add("neighbour")
    platform.write("breaks", "evaluations: {verions: [latest]}\n")
    took = seconds_until("the import error", lambda: error_of(platform, "breaks"))
    text = error_of(platform, "breaks") or ""
    assert text.startswith("spec: experiments/breaks.yaml:10:15: evaluations.verions: unknown key\n")
    assert "   10 | evaluations: {verions: [latest]}\n" in text
    assert "      |               ^^^^^^^\n" in text
    assert "did you mean `versions`?" in text
    assert text.rstrip().endswith("spec: breaks does not compile; the last good DAG stays")
    # The last good DAG stays, and a neighbour's edit is still seen.
    platform.write("neighbour", "description: Edited meanwhile.\n")
    seconds_until(
        "the neighbour's edit",
        lambda: (platform.client.dag("neighbour") or {})["description"] == "Edited meanwhile.",
    )
    good = platform.client.dag("breaks")
    assert good is not None and not good["is_stale"] and not good["has_import_errors"]
    platform.write("breaks", "description: Mended.\n")
    mended = seconds_until("no import error", lambda: error_of(platform, "breaks") is None)
    seconds_until("the mended DAG", lambda: (platform.client.dag("breaks") or {})["description"] == "Mended.")
    print(f"seconds to the error {took:.1f}, until it was gone {mended:.1f}")


@pytest.mark.nightly
def test_a_spec_that_is_deleted_takes_its_dags_along(platform: Platform) -> None:
    platform.add("goes")
    path = platform.settings.experiments / "goes.yaml"
    path.unlink()
    seconds_until("the DAG's end", lambda: (platform.client.dag("goes") or {"is_stale": True})["is_stale"])
    path = platform.write("goes")
    seconds_until("its return", lambda: not (platform.client.dag("goes") or {"is_stale": True})["is_stale"])


@pytest.mark.nightly
def test_a_dag_has_one_version_for_each_text_of_its_spec(platform: Platform) -> None:
    """However often the spec is written and its DAG file is parsed. Airflow keeps a version apart once a run has used it."""
    bundle = platform.settings.home / "bundle"
    for number, text in enumerate(("One.", "Two."), start=1):
        more = f"description: {text}\n"
        platform.write("counts", more)
        wait_for("the text", lambda text=text: (platform.client.dag("counts") or {}).get("description") == text)
        run_id = platform.client.trigger("counts", conf={"nonsense": 1})
        assert platform.finish("counts", run_id)["state"] == "failed", "at its first task"
        for write in (True, False):
            parsed = str((platform.client.dag("counts") or {})["last_parsed_time"])
            if write:
                platform.write("counts", more)
            (bundle / "counts.py").touch()
            wait_for(
                "a parse", lambda parsed=parsed: (platform.client.dag("counts") or {})["last_parsed_time"] > parsed
            )
        versions = ask(platform, "GET", "dags/counts/dagVersions")["dag_versions"]
        assert sorted(version["version_number"] for version in versions) == list(range(1, number + 1))
