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
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from skillsengine.spec.schema import Tracking
from skillsengine.storage.artifact import Artifact
from skillsengine.tracking import lineage
from skillsengine.tracking.helper import forget, given_up_after, require_sent
from skillsengine.tracking.kept import end_note, free_id, write_note
from skillsengine.tracking.server import mode_of, probe, server_address

log = logging.getLogger(__name__)

INIT_SECONDS = 20.0
"""Longest wait for the server to accept a run."""
FINISH_SECONDS = 120.0
"""Longest wait for the last uploads; what is not sent by then stays in the run's folder."""
FLUSH_SECONDS = 2.0
"""As much of a run's log may be lost with its machine, or with a helper that is given up."""
REGISTRY = "wandb-registry-model"
"""W&B's registry of models, which every organization has."""
_GRACE = 10.0
_AWAY_SECONDS = 10.0
"""Longest wait for the end of a run whose server does not answer then: its log is written meanwhile, and is sent later."""
_PATIENCE = 5.0
"""Seconds after which a call that failed is taken for one that waited: W&B gives up after about 20."""
_MOST_GROUP, _MOST_TAG = 128, 64  # longer ones are refused by the server


class Tracker:
    """The W&B run of one stage; without a run (tracking disabled, or W&B out of order) every method does nothing.

    A context manager: leaving it ends the run, as failed where an exception passes through. No method raises.
    """

    def __init__(self, run: Any = None, *, mode: str = "disabled", restore: Callable[[], None] | None = None) -> None:
        self._run, self.mode, self._restore = run, mode, restore
        self._lost: set[str] = set()
        self._away = False
        """Whether the server was waited for in vain."""

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

        self._ask(f"the table `{name}`", send)

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
        self._try(f"the {artifact.stage} artifact", lambda run: _publish(run, artifact, experiment))

    def used(self, artifact: Artifact, experiment: str) -> None:
        """Name an artifact of the store as read by this run, so that W&B shows what came from what.

        W&B knows equal content again; what it has not seen (its stage was a cache hit, say) is named now.
        """
        what = f"the link to the {artifact.stage} artifact"
        self._try(what, lambda run: _publish(run, artifact, experiment, used=True))

    def registered(self, version: Artifact, *aliases: str, used: bool = False) -> None:
        """Name a registered version as made by this run, or with `used` as read, and show it in W&B's registry of models,
        under its model's name, with its number and `aliases`.

        The latter only online: W&B has no such thing offline. Waits until W&B has the files, at most FINISH_SECONDS.
        """
        if self.mode != "online" or self._away:
            self._try("the version", lambda run: _publish(run, version, "", used=used))
            return

        def send(run: Any) -> None:
            told = lineage.as_wandb(version, "")
            try:
                run._log_artifact(told, aliases=lineage.aliases_of(version), use_after_commit=used)
            except Exception:
                _publish(run, version, "", used=used)  # so that it is sent later at least
                raise
            told.wait(timeout=int(FINISH_SECONDS))
            number = str(version.summary["number"])
            run.link_artifact(told, f"{REGISTRY}/{lineage.name_of(version, '')}", aliases=[number, *aliases])

        self._ask("the entry in its registry of models", send)

    def close(self, *, failed: bool = False) -> None:
        """End the run; further calls change nothing."""
        folder, before = self.folder, set(self._lost)

        def end(run: Any) -> None:
            with given_up_after(self._longest_end()):
                run.finish(int(failed))
            if self.mode == "online" and folder is not None:
                require_sent(folder)

        self._try(
            f"the last uploads (kept in {folder}; `skillsengine sync` sends them)",
            end,
            "not sent",
        )
        if folder is not None:
            delivered = self.mode == "online" and self._lost == before
            self._try("the note of how it ended", lambda run: end_note(folder, delivered=delivered))
        self._run = None
        if self._restore:
            self._restore()
            self._restore = None

    def _longest_end(self) -> float:
        """Seconds to wait for the last uploads."""
        if self.mode == "online":
            try:
                probe(server_address())
            except ConnectionError:
                return _AWAY_SECONDS
        return FINISH_SECONDS + _GRACE

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(failed=kind is not None)

    def _ask(self, what: str, send: Callable[[Any], object]) -> None:
        """As `_try`, for what asks the server and, where that is gone, waits for it: a run waits once."""
        if self._away:
            return
        started, lost = time.monotonic(), len(self._lost)
        self._try(what, send)
        self._away = len(self._lost) > lost and time.monotonic() - started > _PATIENCE

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
            forget()
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
            program="skillsengine",
            x_transaction_log_flush_interval=FLUSH_SECONDS,
        ),
    )
    # Before each table W&B asks its server for the type of the table's own artifact. Where the server is gone it waits for 20
    # seconds, goes on and tells nobody: a training would lose as much at each evaluation.
    run._assert_can_log_artifact = lambda artifact: None
    write_note(Path(run.settings.sync_dir), name=stage, group=group, project=tracking.project)
    return run


def _publish(run: Any, artifact: Artifact, experiment: str, *, used: bool = False) -> None:
    """Write an artifact into the run's log, from which it is sent.

    `log_artifact` and `use_artifact` do that, too, but online they ask the server first, and offline the latter refuses.
    """
    told = lineage.as_wandb(artifact, experiment)
    told.finalize()
    aliases = lineage.aliases_of(artifact)
    newest = [] if used else ["latest"]
    run._interface.publish_artifact(run, told, [*newest, *aliases], is_user_created=used, use_after_commit=used)


def _told(error: BaseException) -> str:
    """The error in one line, without the key."""
    key = os.environ.get("WANDB_API_KEY")
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text.replace(key, "***") if key else text
