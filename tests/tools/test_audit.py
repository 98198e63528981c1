"""The audit of the locks: what fails it, and that an answer which was not given is not taken for a good one."""

from __future__ import annotations

import datetime
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tools import audit
from tools.audit import (
    ALLOWED,
    AUDITED,
    LOCKS,
    MOST_DAYS,
    Allowance,
    findings,
    main,
    not_looked_up,
    problems,
    read_allowed,
)

TODAY = datetime.date(2026, 12, 1)
VULNERABLE: dict[str, Any] = {
    "name": "requests",
    "version": "2.19.0",
    "vulns": [{"id": "PYSEC-2018-28", "fix_versions": ["2.20.0"], "aliases": ["CVE-2018-18074"], "description": "..."}],
}
SOUND: dict[str, Any] = {"name": "idna", "version": "3.20", "vulns": []}
SKIPPED = {"name": "click", "skip_reason": "Dependency not found on PyPI and could not be audited: click (8.5.1)"}
"""As pip-audit 2.10 writes them."""


def told(allowed: list[Allowance]) -> list[str]:
    return problems(findings({"dependencies": [VULNERABLE, SOUND, SKIPPED]}), allowed, TODAY)


def test_a_finding_fails_unless_it_is_allowed_and_not_for_ever() -> None:
    line = "requests 2.19.0: PYSEC-2018-28, CVE-2018-18074: mended in 2.20.0"
    assert told([]) == [line]
    for name in ("PYSEC-2018-28", "CVE-2018-18074"):
        assert told([Allowance("requests", name, "unused", TODAY)]) == []
    assert told([Allowance("urllib3", "PYSEC-2018-28", "another package", TODAY)]) == [line]
    yesterday = TODAY - datetime.timedelta(days=1)
    assert told([Allowance("requests", "PYSEC-2018-28", "", yesterday)]) == [
        f"{line}; its allowance ran out on {yesterday}"
    ]


def program(folder: Path, report: str, error: str = "") -> str:
    """Stands in for pip-audit, whose service is not to be had here: prints what that would."""
    path = folder / "pip_audit_answer.py"
    path.write_text(f"import sys; print({report!r}); sys.stderr.write({error!r}); sys.exit({int(bool(error))})")
    return f"{sys.executable} {path}"


@pytest.mark.parametrize(
    ("report", "error", "code", "reachable", "line"),
    [
        (json.dumps({"dependencies": [SOUND]}), "", 0, 0, "pins looked up, 0 findings"),
        (json.dumps({"dependencies": [SOUND, VULNERABLE]}), "", 1, 1, "VULNERABLE requests 2.19.0"),
        (json.dumps({"dependencies": [SOUND, SKIPPED]}), "", 2, 0, "NOT SHOWN for 1 packages"),
        (json.dumps({"dependencies": [SKIPPED, VULNERABLE]}), "", 1, 1, "VULNERABLE requests 2.19.0"),
        ("", "ConnectionError: HTTPSConnectionPool(host='pypi.org')", 2, 0, f"NOT SHOWN for {len(AUDITED)} packages"),
    ],
    ids=["sound", "vulnerable", "skipped", "skipped and vulnerable", "no service"],
)
def test_how_it_ends(
    report: str, error: str, code: int, reachable: int, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = program(tmp_path, report, error)
    assert main(["--pip-audit", answer]) == code
    assert line in capsys.readouterr().out
    assert main(["--pip-audit", answer, "--if-reachable"]) == reachable


def test_another_failure_is_no_lack_of_a_network(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 1:\nusage: pip-audit"):
        main(["--pip-audit", program(tmp_path, "", "usage: pip-audit")])


def test_no_allowance_has_run_out_or_lasts_too_long() -> None:
    now = datetime.datetime.now(datetime.UTC).date()
    for entry in read_allowed():
        assert now <= entry.until, f"{ALLOWED.name}: {entry.id} of {entry.package} ran out: look again, or mend it"
        assert (entry.until - now).days <= MOST_DAYS, f"{entry.id}: at most {MOST_DAYS} days at a time"


@pytest.mark.parametrize("lacks", ["package", "id", "reason", "until"])
def test_an_allowance_says_all(lacks: str, tmp_path: Path) -> None:
    lines = {"package": '"a"', "id": '"b"', "reason": '"c"', "until": "2026-12-01"}
    path = tmp_path / "audit.toml"
    path.write_text("[[allowed]]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items() if key != lacks))
    with pytest.raises(ValueError, match="an entry has package, id, reason"):
        read_allowed(path)


def test_every_lock_is_audited() -> None:
    """The images' are parts of py311.txt (tests/tools/test_locks.py); cuda.txt holds what NVIDIA ships with torch."""
    parts = {"py311-control.txt", "py311-worker.txt", "cuda.txt"}
    assert {path.name for path in LOCKS.glob("*.txt")} == {*AUDITED, *parts}
    assert not_looked_up({"dependencies": [SKIPPED, SOUND]}) == ["click"]
    assert audit.__doc__ and "--if-reachable" in audit.__doc__
