"""Does an image's list of packages name what its locks pin? `python tools/sbom.py sbom.cdx.json locks/py311-worker.txt`

The list is CycloneDX, written by cyclonedx-py from the image's environment (see the Dockerfile). What it holds beside the lock
(pip, of every environment) is told and is no failure.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from packaging.utils import canonicalize_name


def pinned(lock: Path) -> dict[str, str]:
    """Name -> version, as a lock of `locks/` pins them."""
    found = re.findall(r"^([\w.-]+)==([^\s#]+)", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def listed(sbom: Path) -> dict[str, str]:
    """Name -> version of the libraries of a CycloneDX list. Raises ValueError for something else."""
    told = json.loads(sbom.read_text(encoding="utf-8"))
    if told.get("bomFormat") != "CycloneDX":
        raise ValueError(f"{sbom} is no CycloneDX list: bomFormat is {told.get('bomFormat')!r}")
    return {canonicalize_name(each["name"]): each["version"] for each in told.get("components", ())}


def differences(lock: Mapping[str, str], sbom: Mapping[str, str]) -> list[str]:
    """A line for each pin that the list lacks, or has another version of."""
    return [
        f"{name}=={version}: the list has {sbom.get(name) or 'it not'}"
        for name, version in sorted(lock.items())
        if sbom.get(name) != version
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sbom", type=Path)
    parser.add_argument("lock", type=Path, nargs="+", help="of several, what one of them pins")
    asked = parser.parse_args()
    lock, sbom = {name: version for each in asked.lock for name, version in pinned(each).items()}, listed(asked.sbom)
    wrong = differences(lock, sbom)
    for line in wrong:
        print(f"SBOM {line}")
    more = sorted(sbom.keys() - lock.keys())
    print(
        f"{asked.sbom.name}: {len(sbom)} packages; {len(wrong)} of {len(lock)} pins missing; beside the lock: {more or 'none'}"
    )
    return 1 if wrong or not lock else 0


if __name__ == "__main__":
    sys.exit(main())
