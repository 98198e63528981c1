"""What people read."""

from __future__ import annotations

from typing import Any

import pytest

from skillsengine.airflow.notify.message import About, failure, late, run_url, verdict

ABOUT = About(
    "job-skills",
    "job-skills",
    "scheduled__2026-04-01T00:00:00+00:00__2026-03__x1",
    "scheduled",
    "2026-03",
    "https://airflow.example.com/dags/job-skills/runs/scheduled__1",
)
FOUND: dict[str, Any] = {
    "verdict": "promote",
    "number": 8,
    "champion": 7,
    "metric": "f1",
    "reason": "job-skills@8 has f1 0.512 against 0.487 of the champion job-skills@7, on 120 ads with 640 gold skills "
    "(difference +0.025, +0.004 to +0.047): better",
    "scores": {"challenger": 0.51249, "opponent": 0.487, "rows": 120, "gold_skills": 640},
}


def test_a_failure() -> None:
    message = failure(ABOUT, "finetune: CUDA out of memory\n   tried 8 rows a step\n\nset train.per_device_batch_size")
    assert message.subject == "[skillsengine] job-skills 2026-03: failed in finetune"
    assert message.text == (
        "job-skills, partition 2026-03: failed in finetune\n"
        "CUDA out of memory\n"
        "   tried 8 rows a step\n"
        "\n"
        "set train.per_device_batch_size\n"
        "\n"
        "scheduled run scheduled__2026-04-01T00:00:00+00:00__2026-03__x1\n"
        "https://airflow.example.com/dags/job-skills/runs/scheduled__1"
    )


def test_a_failure_after_the_gate_has_spoken() -> None:
    judged = verdict(ABOUT, "job-skills", FOUND, moved=True)
    message = failure(ABOUT, "push: the Hub answers 503", judged)
    assert message.details == ("the Hub answers 503", "Its gate: job-skills@8 is the new champion.")
    assert (message.event, message.as_json()["verdict"]["moved"]) == ("failure", True)


def test_a_promotion_tells_the_scores_on_the_rows_that_were_compared() -> None:
    message = verdict(ABOUT, "job-skills", FOUND, moved=True)
    assert message.subject == "[skillsengine] job-skills 2026-03: job-skills@8 is the new champion"
    assert list(message.details) == [
        "It was job-skills@7.",
        "Gate: job-skills@8 has f1 0.512 against 0.487 of the champion job-skills@7, on 120 ads with 640 gold skills "
        "(difference +0.025, +0.004 to +0.047): better.",
    ]
    assert message.as_json()["verdict"] == FOUND | {"moved": True}


def test_a_challenger_that_is_no_better() -> None:
    message = verdict(ABOUT, "job-skills", FOUND | {"verdict": "keep"}, moved=False)
    assert message.headline == "job-skills@8 was not promoted"
    assert message.details[0] == "job-skills@7 stays the champion."


@pytest.mark.parametrize(
    ("moved", "text"),
    [
        (True, "It is the first one."),
        (False, "There is still no champion."),
    ],
)
def test_where_there_was_no_champion(moved: bool, text: str) -> None:
    message = verdict(ABOUT, "job-skills", FOUND | {"champion": None}, moved=moved)
    assert message.details[0] == text


def test_a_partition_without_labels_has_a_verdict_but_no_scores() -> None:
    reason = {"verdict": "undecided", "reason": "partition 2026-03 has no labels", "scores": {"rows": 0}}
    message = verdict(ABOUT, "job-skills", FOUND | reason, moved=False)
    assert message.headline == "job-skills@8 was not promoted, undecided"
    assert message.details == (
        "job-skills@7 stays the champion.",
        "Gate: partition 2026-03 has no labels.",
    )


@pytest.mark.parametrize(
    ("state", "tasks", "headline", "details"),
    [
        (
            "running",
            {"format": "success", "profile": "success", "finetune": "running"},
            "not done after 6h",
            [
                "It was queued at 2026-04-01 00:00 UTC; its state is running.",
                "finetune is running.",
                "Done: format, profile.",
            ],
        ),
        (
            "running",
            {"wait_for_data": "up_for_reschedule"},
            "not done after 6h",
            [
                "It was queued at 2026-04-01 00:00 UTC; its state is running.",
                "wait_for_data is waiting for its data.",
                "Done: nothing yet.",
            ],
        ),
        (
            "queued",
            {},
            "not done after 6h",
            ["It was queued at 2026-04-01 00:00 UTC; its state is queued.", "No task of it has begun."],
        ),
        (
            "failed",
            {"format": "failed", "profile": "upstream_failed"},
            "missed its deadline of 6h and failed",
            [
                "It was queued at 2026-04-01 00:00 UTC; its state is failed.",
                "format is failed, profile is not run.",
                "Done: nothing yet.",
            ],
        ),
        (
            "success",
            {"format": "success"},
            "missed its deadline of 6h; it is done by now",
            ["It was queued at 2026-04-01 00:00 UTC; its state is success.", "Done: format."],
        ),
    ],
)
def test_a_late_run(state: str, tasks: dict[str, str], headline: str, details: list[str]) -> None:
    message = late(ABOUT, "6h", "2026-04-01 00:00 UTC", state, tasks)
    assert (message.headline, list(message.details)) == (headline, details)
    assert message.subject == f"[skillsengine] job-skills 2026-03: {headline}"


def test_secrets_are_masked_and_long_errors_cut() -> None:
    lines = ["https://me:hunter2@host/x failed", "token: abcdefghijkl", "hf_abcdefghijklmnop", *(["x" * 999] * 20)]
    message = failure(ABOUT, "register: " + "\n".join(lines))
    for told in (message.text, message.html, str(message.as_json())):
        assert not any(secret in told for secret in ("hunter2", "abcdefghijkl", "hf_"))
    assert len(message.details) == 9 and all(len(line) <= 300 for line in message.details)
    assert message.details[-1] == "... and 15 more lines in the log of the task"


def test_a_mail_shows_what_the_text_holds_and_nothing_runs_in_it() -> None:
    message = failure(ABOUT, "format: <script>alert(1)</script>\n   ^^^")
    assert "<script>" not in message.html and "&lt;script&gt;alert(1)&lt;/script&gt;\n   ^^^</pre>" in message.html
    assert f'<a href="{ABOUT.url}">scheduled run ' in message.html


def test_a_subject_is_one_line() -> None:
    message = failure(About("a", "a", "r", "manual", "2026-03\r\nBcc: x@y"), "format: no")
    assert message.subject == "[skillsengine] a 2026-03 Bcc: x@y: failed in format"


def test_a_run_without_a_partition_and_without_an_address() -> None:
    message = failure(About("a", "a", "r", "manual"), "format: no")
    assert message.text == "a: failed in format\nno\n\nmanual run r"
    assert "href" not in message.html and message.as_json()["url"] is None


def test_the_address_of_a_run() -> None:
    assert run_url("http://host:8080/", "a.evaluations", "manual__2026-01-01T00:00:00+00:00__1") == (
        "http://host:8080/dags/a.evaluations/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00__1"
    )
    assert run_url(None, "a", "b") is None
