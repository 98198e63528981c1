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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from skillsengine.spec.schema import Tracking
from skillsengine.storage.artifact import Artifact
from skillsengine.tracking import lineage
from skillsengine.tracking.kept import end_note, free_id, write_note
from skillsengine.tracking.server import mode_of, probe, server_address

log = logging.getLogger(__name__)

INIT_SECONDS = 20.0
"""Longest wait for the server to accept a run."""
FINISH_SECONDS = 120.0
"""Longest wait for the last uploads; what is not sent by then stays in the run's folder."""
REGISTRY = "wandb-registry-model"
"""W&B's registry of models, which every organization has."""
_MOST_GROUP, _MOST_TAG = 128, 64  # longer ones are refused by the server


class Tracker:
    """The W&B run of one stage; without a run (tracking disabled, or W&B out of order) every method does nothing.

    A context manager: leaving it ends the run, as failed where an exception passes through. No method raises.
    """

    def __init__(self, run: Any = None, *, mode: str = "disabled", restore: Callable[[], None] | None = None) -> None:
        self._run, self.mode, self._restore = run, mode, restore
        self._lost: set[str] = set()
        self._made: dict[str, Any] = {}
        """Digest -> W&B's artifact."""

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

    def html(self, name: str, text: str) -> None:
        """Add a whole page of HTML, to be looked at in W&B."""

        def send(run: Any) -> None:
            import wandb

            run.log({name: wandb.Html(text, inject=False)})

        self._try(f"the page `{name}`", send)

    def made(self, artifact: Artifact, experiment: str) -> None:
        """Name an artifact of the store as made by this run; see `lineage` for what of it is sent."""

        def send(run: Any) -> None:
            told = self._made[artifact.digest] = lineage.as_wandb(artifact, experiment)
            run.log_artifact(told, aliases=lineage.aliases_of(artifact))

        self._try(f"the {artifact.stage} artifact", send)

    def used(self, artifact: Artifact, experiment: str) -> None:
        """Name an artifact of the store as read by this run, so that W&B shows what came from what.

        W&B knows equal content again; what it has not seen (its stage was a cache hit, say) is named now.
        """

        def send(run: Any) -> None:
            # `use_artifact` would refuse offline, and wait for the server online. This is how it tells of an artifact
            # itself, and it works in both.
            told = self._made[artifact.digest] = lineage.as_wandb(artifact, experiment)
            run._log_artifact(told, aliases=lineage.aliases_of(artifact), use_after_commit=True)

        self._try(f"the link to the {artifact.stage} artifact", send)

    def link(self, version: Artifact, *aliases: str) -> None:
        """Show a registered version, `made` or `used` by this run, in W&B's registry of models under its model's name.

        Only online: W&B has no such thing offline. Waits until W&B has the version's files, at most FINISH_SECONDS.
        """
        told = self._made.get(version.digest)
        if self.mode != "online" or told is None:
            return

        def send(run: Any) -> None:
            told.wait(timeout=int(FINISH_SECONDS))
            run.link_artifact(told, f"{REGISTRY}/{told.name.partition(':')[0]}", aliases=list(aliases))

        self._try("the entry in its registry of models", send)

    def close(self, *, failed: bool = False) -> None:
        """End the run; further calls change nothing."""
        folder, before = self.folder, set(self._lost)
        self._try(
            f"the last uploads (kept in {folder}; `skillsengine sync` sends them)",
            lambda run: run.finish(int(failed)),
            "not sent",
        )
        if folder is not None:
            delivered = self.mode == "online" and self._lost == before
            self._try("the note of how it ended", lambda run: end_note(folder, delivered=delivered))
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
    run's id, so that a retry goes on in the same run (offline it is a run of its own, see `kept.free_id`). `auto` is
    online where WANDB_API_KEY is set and the server answers, otherwise offline below `<home>/wandb`, and then says why.
    WANDB_MODE=offline or disabled in the environment wins over `auto`.

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
    base = hashlib.sha256(f"{digest}:{group}".encode()).hexdigest()[:16]
    run = wandb.init(
        project=tracking.project,
        entity=tracking.entity,
        id=free_id(home, base, online=mode == "online"),
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
            host="",
        ),
    )
    write_note(Path(run.settings.sync_dir), name=stage, group=group, project=tracking.project)
    return run


def _forget() -> None:
    """Stop W&B's helper process after a failed start: it would hold the run's id as taken until this process ends."""
    try:
        import wandb

        wandb.teardown(exit_code=1)
    except Exception as error:  # noqa: BLE001 - whatever W&B raises, the stage goes on
        log.warning("W&B: its helper process does not stop. %s", _told(error))


def _told(error: BaseException) -> str:
    """The error in one line, without the key."""
    key = os.environ.get("WANDB_API_KEY")
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text.replace(key, "***") if key else text
