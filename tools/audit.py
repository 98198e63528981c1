"""Ask a database of vulnerabilities about every pinned package: `python tools/audit.py --pip-audit PATH`.

pip-audit does the asking. It ends well, and says "No known vulnerabilities found", where its service does not know a single
package, as behind a mirror of PyPI that serves files alone; so what it has not looked up is counted here.

| ends with | when |
| --- | --- |
| 0 | every package was looked up, and what was found is allowed in locks/audit.toml |
| 1 | a vulnerability that is not allowed, or whose allowance has run out |
| 2 | the service did not answer for some or all packages; with `--if-reachable` 0, and the text says that nothing was shown |
"""

from __future__ import annotations

import argparse
import datetime
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCKS = Path(__file__).resolve().parent.parent / "locks"
ALLOWED = LOCKS / "audit.toml"
AUDITED = ("py311.txt", "py312.txt", "py313.txt", "py311-fab.txt", "no-deps.txt", "sbom.txt")
"""The images' own locks are subsets of the first."""
MOST_DAYS = 180
"""That an allowance may last from now: nobody decides for longer."""


@dataclass(frozen=True)
class Allowance:
    """A vulnerability that somebody has looked at and lives with, until a date."""

    package: str
    id: str
    reason: str
    until: datetime.date


@dataclass(frozen=True)
class Finding:
    """A vulnerability of a pinned package."""

    package: str
    version: str
    names: tuple[str, ...]
    """Its id, then its other names."""
    mended_in: tuple[str, ...]


def read_allowed(path: Path = ALLOWED) -> list[Allowance]:
    """Raises ValueError for an entry that is not whole."""
    found = []
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("allowed", []):
        kinds = {"package": str, "id": str, "reason": str, "until": datetime.date}
        wrong = [key for key, kind in kinds.items() if not isinstance(entry.get(key), kind)]
        if wrong or set(entry) != set(kinds) or not entry["reason"].strip():
            raise ValueError(
                f"{path}: {entry}: an entry has package, id, reason (texts) and until (a date), all of them"
            )
        found.append(Allowance(**entry))
    return found


def findings(report: Mapping[str, Any]) -> list[Finding]:
    """What pip-audit's JSON tells."""
    return [
        Finding(
            each["name"], each["version"], (vuln["id"], *vuln.get("aliases", ())), tuple(vuln.get("fix_versions", ()))
        )
        for each in report["dependencies"]
        for vuln in each.get("vulns", ())
    ]


def not_looked_up(report: Mapping[str, Any]) -> list[str]:
    """The packages that pip-audit has skipped."""
    return [each["name"] for each in report["dependencies"] if "skip_reason" in each]


def problems(found: Iterable[Finding], allowed: Sequence[Allowance], today: datetime.date) -> list[str]:
    """A line for each finding that is not allowed, or not any more."""
    told = []
    for each in found:
        entries = [entry for entry in allowed if entry.package == each.package and entry.id in each.names]
        if any(entry.until >= today for entry in entries):
            continue
        mend = f"mended in {', '.join(each.mended_in)}" if each.mended_in else "no version mends it yet"
        ran_out = f"; its allowance ran out on {entries[0].until}" if entries else ""
        told.append(f"{each.package} {each.version}: {', '.join(each.names)}: {mend}{ran_out}")
    return sorted(set(told))


def ask(program: Sequence[str], lock: Path) -> dict[str, Any] | None:
    """pip-audit's report on a lock; None where its service cannot be reached. Raises RuntimeError for anything else."""
    command = [*program, "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json", "-r", str(lock)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        if any(
            word in done.stderr
            for word in ("Connection", "connection", "Timeout", "timed out", "ServiceError", "resolve")
        ):
            print(f"{lock.name}: {done.stderr.strip().splitlines()[-1]}")
            return None
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}") from None
    return report


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pip-audit", default="pip-audit", help="the program, with options such as `-s osv`")
    parser.add_argument("--if-reachable", action="store_true", help="no failure where the service cannot be reached")
    asked = parser.parse_args(argv)
    found, unknown, count = [], set(), 0
    for name in AUDITED:
        report = ask(asked.pip_audit.split(), LOCKS / name)
        if report is None:
            unknown.add(f"all of {name}")
            continue
        found += findings(report)
        unknown |= set(not_looked_up(report))
        count += len(report["dependencies"]) - len(not_looked_up(report))
    told = problems(found, read_allowed(), datetime.datetime.now(datetime.UTC).date())
    for line in told:
        print(f"VULNERABLE {line}")
    print(f"audit: {count} pins looked up, {len(found)} findings, {len(told)} of them not allowed (locks/audit.toml)")
    if unknown:
        shown = ", ".join(sorted(unknown)[:5]) + (", ..." if len(unknown) > 5 else "")
        print(f"audit: NOT SHOWN for {len(unknown)} packages, which the service did not answer for: {shown}")
    if told:
        return 1
    return 2 if unknown and not asked.if_reachable else 0


if __name__ == "__main__":
    sys.exit(main())
