"""One measurement of `benchmarks.specs`, in a process of its own: either in our environment, or in dag-factory's, which
has no skillsengine. Prints one line of JSON. Seconds are a processor's (`time.process_time`); imports are done before.

    python -m benchmarks._specs_child {ours,peer,twin} {full,edit,worker} FOLDER
"""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

WORKER_ROUNDS = 3


def main(who: str, what: str, folder: Path) -> dict[str, Any]:
    os.environ |= {
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        # dag-factory needs more than Airflow's 30 s for a thousand; how long it takes is the question.
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "3600",
        "DO_NOT_TRACK": "true",
        "SCARF_NO_ANALYTICS": "true",
    }
    side: Side = Ours(folder) if who == "ours" else Peer(folder)
    side.warm_up()
    gc.collect()
    gc.freeze()  # what is imported is not looked through again
    return {"full": full, "edit": edit, "worker": worker}[what](side)


class Side(ABC):
    """How one of the two turns its files into DAGs."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.dags = folder, folder / "dags"

    def warm_up(self) -> None:
        """Import what the parse imports."""
        import airflow.dag_processing.dagbag
        import airflow.providers.standard.operators.bash
        import airflow.serialization.serialized_objects
        import airflow.timetables.trigger  # noqa: F401

    def compile(self) -> int:
        """What happens before Airflow parses; returns how many specs were read."""
        return 0

    def files(self) -> list[Path]:
        """The files that Airflow parses, each in a process of its own."""
        return sorted(self.dags.glob("*.py"))

    @abstractmethod
    def changed(self) -> Path:
        """Edit one spec; returns the file that Airflow parses for it."""

    @abstractmethod
    def parsed_for_a_task(self) -> Path:
        """The file that a worker parses before it runs a task."""

    def edit(self, file: Path, old: str, new: str) -> None:
        text = file.read_text()
        assert old in text
        time.sleep(0.1)  # older than the tick of a file system's clock
        file.write_text(text.replace(old, new))
        time.sleep(0.1)


class Ours(Side):
    def warm_up(self) -> None:
        super().warm_up()
        from skillsengine.airflow import dag  # noqa: F401
        from skillsengine.airflow.compile import Compiler

        self.compiler = Compiler(self.folder / "experiments", self.dags)

    def compile(self) -> int:
        report = self.compiler.compile()
        assert not report.errors, report.errors[0]
        return report.read

    def changed(self) -> Path:
        self.edit(self.folder / "experiments" / "exp-0007.yaml", "description: Skills", "description: All skills")
        return self.dags / "exp-0007.py"

    def parsed_for_a_task(self) -> Path:
        return self.dags / "exp-0007.py"


class Peer(Side):
    def warm_up(self) -> None:
        super().warm_up()
        import dagfactory  # noqa: F401

    def changed(self) -> Path:
        self.edit(self.dags / "exp-0007.yaml", "description: Skills", "description: All skills")
        return self.dags / "load.py"

    def parsed_for_a_task(self) -> Path:
        return self.dags / "load.py"


def full(side: Side) -> dict[str, Any]:
    """All files to serialized DAGs: load, compile, then parse and serialize file by file, as the DAG processor does."""
    before = psutil.Process().memory_info().rss
    parsed = serialized = 0.0
    dags = tasks = 0
    with seconds() as compiling:
        side.compile()
    for file in side.files():
        with seconds() as parsing:
            bag = parse(file)
        with seconds() as serializing:
            serialize(bag)
        parsed, serialized = parsed + parsing(), serialized + serializing()
        dags += len(bag.dags)
        tasks += sum(len(dag.tasks) for dag in bag.dags.values())
        del bag
        forget(file)
    return {
        "compile_seconds": compiling(),
        "parse_seconds": round(parsed, 6),
        "serialize_seconds": round(serialized, 6),
        "seconds": round(compiling() + parsed + serialized, 6),
        "dags": dags,
        "tasks": tasks,
        "memory_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / 1e6),
    }


def edit(side: Side) -> dict[str, Any]:
    """One spec changes: what is read, parsed and serialized because of it."""
    side.compile()
    serialize(parse(side.parsed_for_a_task()))
    with seconds() as resting:
        rested = side.compile()
    file = side.changed()
    with seconds() as compiling:
        read = side.compile()
    with seconds() as parsing:
        bag = parse(file)
    with seconds() as serializing:
        serialize(bag)
    assert any("All skills" in (dag.description or "") for dag in bag.dags.values())
    return {
        "look_seconds": resting(),
        "compile_seconds": compiling(),
        "parse_seconds": parsing(),
        "serialize_seconds": serializing(),
        "seconds": compiling() + parsing() + serializing(),
        "read": read,
        "read_at_rest": rested,
        "dags": len(bag.dags),
    }


def worker(side: Side) -> dict[str, Any]:
    """What a task's start parses."""
    side.compile()
    file = side.parsed_for_a_task()
    found = []
    for _ in range(WORKER_ROUNDS):
        with seconds() as parsing:
            bag = parse(file)
        found.append(parsing())
    return {"seconds": statistics.median(found), "dags": len(bag.dags)}


def parse(path: Path) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(path, bundle_path=path if path.is_dir() else path.parent, bundle_name="specs", safe_mode=True)
    assert bag.dags and not bag.import_errors, bag.import_errors
    return bag


def forget(file: Path) -> None:
    """Leave nothing behind of a parsed file: the process that parses one for the DAG processor ends with it."""
    for module in [name for name, of in sys.modules.items() if getattr(of, "__file__", None) == str(file)]:
        del sys.modules[module]


def serialize(bag: Any) -> None:
    from airflow.serialization.serialized_objects import LazyDeserializedDAG

    for dag in bag.dags.values():
        LazyDeserializedDAG.from_dag(dag)


@contextmanager
def seconds() -> Iterator[Callable[[], float]]:
    """Seconds of a processor that the block took, to be asked for behind it."""
    started, ended = time.process_time(), None
    yield lambda: round((ended or time.process_time()) - started, 6)
    ended = time.process_time()


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
