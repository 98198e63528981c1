"""Weights & Biases beside a stage: one W&B run per executed stage, grouped by the DAG run.

Tracking never decides about a stage. It asks nothing, waits a bounded time, writes below the installation's home
alone, and where it fails it says once what was lost. Everything it shows stands in the catalog, too.

Nothing of the machine or the command line is sent (an orchestrator may put a token there), nor the state of git, whose
address of the remote may hold one; only the resolved spec, which names secrets and never holds them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from skillsengine.spec.schema import Tracking

log = logging.getLogger(__name__)

INIT_SECONDS = 20.0
"""Longest wait for the server to accept a run."""
PROBE_SECONDS = 5.0
"""Longest wait for the server to answer at all; W&B itself would retry for minutes."""
FINISH_SECONDS = 120.0
"""Longest wait for the last uploads; what is not sent by then stays in the run's folder."""
_MOST_GROUP, _MOST_TAG = 128, 64  # longer ones are refused by the server


class Tracker:
    """The W&B run of one stage; without a run (tracking disabled, or W&B out of order) every method does nothing.

    A context manager: leaving it ends the run, as failed where an exception passes through. No method raises.
    """

    def __init__(self, run: Any = None, *, mode: str = "disabled", restore: Callable[[], None] | None = None) -> None:
        self._run, self.mode, self._restore = run, mode, restore
        self._lost: set[str] = set()

    @property
    def url(self) -> str | None:
        """Address of the run's page; None unless it is online."""
        if self._run is None or self.mode != "online":
            return None
        return str(self._run.url) if self._run.url else None

    @property
    def folder(self) -> Path | None:
        """Where the run's files lie until they are sent; None without a run."""
        return None if self._run is None else Path(self._run.settings.sync_dir)

    def log(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add a moment to the run's history.

        `step` may only grow. A resumed training repeats the steps since its checkpoint; W&B has them and ignores these.
        """
        self._try("metrics", lambda run: run.log(dict(metrics), step=step))

    def table(self, name: str, columns: list[str], rows: list[list[Any]], step: int | None = None) -> None:
        """Add a table; every row has one cell a column. With a `step` it stands beside that moment's metrics."""

        def send(run: Any) -> None:
            import wandb

            run.log({name: wandb.Table(columns=columns, data=rows, allow_mixed_types=True)}, step=step)

        self._try(f"the table `{name}`", send)

    def image(self, name: str, path: Path) -> None:
        """Add a picture file; it is copied at once."""

        def send(run: Any) -> None:
            import wandb

            run.log({name: wandb.Image(str(path))})

        self._try(f"the image `{name}`", send)

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set the run's closing numbers."""
        self._try("the summary", lambda run: run.summary.update(dict(values)))

    def artifact(self, name: str, type: str, path: Path) -> None:
        """Name the file or folder at `path` as made by this run. It is read where it lies and must stay as it is."""
        self._try(f"the artifact `{name}`", lambda run: run.log_artifact(_artifact(name, type, path)))

    def use(self, name: str, type: str, path: Path) -> None:
        """Name the file or folder at `path` as read by this run, so that W&B shows what came from what.

        W&B knows equal content again; what it has not seen (its stage ran offline, or was a cache hit) is sent now.
        Only online: W&B has no such thing offline.
        """
        if self.mode == "online":
            self._try(f"the link to `{name}`", lambda run: run.use_artifact(_artifact(name, type, path)))

    def close(self, *, failed: bool = False) -> None:
        """End the run; further calls change nothing."""
        folder = self.folder
        self._try(
            f"the last uploads (kept in {folder}; `wandb sync` sends them)",
            lambda run: run.finish(int(failed)),
            "not sent",
        )
        self._run = None
        if self._restore:
            self._restore()
            self._restore = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)

    def _try(self, what: str, send: Callable[[Any], object], outcome: str = "lost") -> None:
        if self._run is None:
            return
        try:
            send(self._run)
        except Exception as error:  # noqa: BLE001 - whatever W&B raises, the stage goes on
            if what not in self._lost:
                self._lost.add(what)
                log.warning("W&B: %s %s; the stage goes on. %s", what, outcome, _told(error))


def open_tracker(
    tracking: Tracking,
    *,
    home: Path,
    group: str,
    stage: str,
    digest: str,
    config: Mapping[str, Any],
    tags: Sequence[str] = (),
) -> Tracker:
    """Open the W&B run of one stage.

    `stage` is the step's id (`finetune`, `evaluate[base]`), `group` names the DAG run; with `digest` they make the
    run's id, so that a retry goes on in the same run. `auto` is online where WANDB_API_KEY is set and the server
    answers, otherwise offline below `<home>/wandb`, and then says why. WANDB_MODE=offline or disabled in the
    environment wins over `auto`.

    Never raises: where W&B cannot be started at all, the tracker that comes back does nothing.
    """
    mode = mode_of(tracking)
    if mode == "disabled":
        return Tracker()
    restore = _write_below(home / "wandb", mode)
    for attempt in ("online", "offline") if mode == "online" else ("offline",):
        try:
            run = _init(tracking, attempt, home, group, stage, digest, config, tags)
        except Exception as error:  # noqa: BLE001 - whatever W&B raises, the stage goes on
            then = "going on offline" if attempt == "online" else "nothing of this stage is tracked"
            log.warning("W&B does not start %s; %s. %s", attempt, then, _told(error))
            _forget()
        else:
            tracker = Tracker(run, mode=attempt, restore=restore)
            log.info("W&B %s: %s", attempt, tracker.url or tracker.folder)
            return tracker
    restore()
    return Tracker()


def mode_of(tracking: Tracking) -> str:
    """`online`, `offline` or `disabled`, without asking W&B, which might ask the user."""
    wished = os.environ.get("WANDB_MODE", "")
    if tracking.mode == "disabled" or wished == "disabled":
        return "disabled"
    key = os.environ.get("WANDB_API_KEY")
    if tracking.mode == "offline" or wished in ("offline", "dryrun") or not key:
        return "offline"
    return "online"


def _write_below(folder: Path, mode: str) -> Callable[[], None]:
    """Point W&B's folders into `folder`; what comes back undoes it. W&B reads these variables late and takes no
    argument."""
    wanted = {
        "WANDB_DIR": str(folder.parent),
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_CONFIG_DIR": str(folder / "config"),
        "WANDB_ARTIFACT_DIR": str(folder / "artifacts"),
        "WANDB_SILENT": "true",
        # Its own telemetry: W&B would tell its makers of errors, and call its server even where runs are offline.
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_MODE": mode,
    }
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)

    def restore() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    return restore


def _init(
    tracking: Tracking,
    mode: str,
    home: Path,
    group: str,
    stage: str,
    digest: str,
    config: Mapping[str, Any],
    tags: Sequence[str],
) -> Any:
    import wandb

    address = server_address()
    if mode == "online":
        probe(address)
    (home / "wandb").mkdir(parents=True, exist_ok=True)
    return wandb.init(
        project=tracking.project,
        entity=tracking.entity,
        id=hashlib.sha256(f"{digest}:{group}".encode()).hexdigest()[:16],
        name=stage,
        group=group[:_MOST_GROUP],
        job_type=stage.split("[")[0],
        config={**config, "skillsengine": {"stage": stage, "digest": digest, "run": group}},
        tags=[tag[:_MOST_TAG] for tag in dict.fromkeys(tags) if tag],
        mode=mode,  # type: ignore[arg-type, unused-ignore]
        resume="allow" if mode == "online" else None,
        reinit="create_new",
        settings=wandb.Settings(
            base_url=address,
            root_dir=str(home),
            silent=True,
            console="off",
            init_timeout=INIT_SECONDS,
            login_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
            finish_timeout_raises=True,
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_save_requirements=False,
        ),
    )


def _forget() -> None:
    """Stop W&B's helper process after a failed start: it would hold the run's id as taken until this process ends."""
    try:
        import wandb

        wandb.teardown(exit_code=1)
    except Exception as error:  # noqa: BLE001 - whatever W&B raises, the stage goes on
        log.warning("W&B: its helper process does not stop. %s", _told(error))


def server_address() -> str:
    """Where W&B's server is. Said outright: W&B looks at the environment only once in a process."""
    import wandb

    return os.environ.get("WANDB_BASE_URL") or str(wandb.Settings().base_url)


def probe(address: str) -> None:
    """Raise ConnectionError unless something answers at `address` in time.

    In a thread of its own: looking up a host's name obeys no time-out.
    """
    failure: list[str] = ["no answer"]

    def ask() -> None:
        try:
            with urllib.request.urlopen(address, timeout=PROBE_SECONDS):
                failure.clear()
        except urllib.error.HTTPError:
            failure.clear()  # any answer will do
        except (OSError, ValueError) as error:
            failure[0] = str(error)

    thread = threading.Thread(target=ask, name="wandb-probe", daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    if failure:
        raise ConnectionError(f"{address} does not answer within {PROBE_SECONDS:g} s ({failure[0]})")


def _artifact(name: str, type: str, path: Path) -> Any:
    import wandb

    artifact = wandb.Artifact(re.sub(r"[^\w.-]+", "-", name).strip("-")[:128], type)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    for file in files:
        inside = file.relative_to(path).as_posix() if path.is_dir() else file.name
        # Immutable: W&B would copy each file (an adapter of gigabytes) into its staging folder.
        artifact.add_file(str(file), name=inside, policy="immutable", skip_cache=True)
    return artifact


def _told(error: BaseException) -> str:
    """The error in one line, without the key."""
    key = os.environ.get("WANDB_API_KEY")
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text.replace(key, "***") if key else text
