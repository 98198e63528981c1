"""The process that is fuzzed: `python -m tests.fuzz.child LIBFUZZER_OPTIONS`. It ends at the first failure.

libFuzzer never returns, so `tests.fuzz` runs this in a process of its own and reads what it prints.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

# What is imported in here reports the branches that an input takes.
with atheris.instrument_imports(include=["skillsengine"]):
    from tests.fuzz.target import Target, bound_memory


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        target = Target(Path(folder))
        target.prepare()

        def run(data: bytes) -> None:
            target.check(data)

        atheris.Setup(sys.argv, run)
        bound_memory()
        atheris.Fuzz()


if __name__ == "__main__":
    main()
