"""Platform settings: what one installation is told by its environment, never by a spec.

| variable | meaning | default |
| --- | --- | --- |
| `SKILLSENGINE_PROJECT` | the folder that holds `experiments/` | the nearest such folder upwards from here |
| `SKILLSENGINE_HOME` | where everything that is produced lives | `<project>/.skillsengine` |
| `SKILLSENGINE_CATALOG` | SQLAlchemy address of the catalog | SQLite in the home |
| `SKILLSENGINE_DATA_ROOTS` | further folders a spec may read from, joined by the path separator | none |
| `SKILLSENGINE_AIRFLOW_URL` | address of Airflow's API, for links and run notes; `http://user:password@host` where it asks for a login | none |
| `SKILLSENGINE_AIRFLOW_LOGIN_FILE` | the file with that login, `user:password`, which then does not stand in the address | none |
| `SKILLSENGINE_ENV` | name of the overlay `experiments/_env/<name>.yaml` that is laid over every spec | none |
| `SKILLSENGINE_SERVE_URL` | address of a `skillsengine serve` that the page *Try it* asks: `http://host:8090` | none: a run in Airflow answers |
| `SKILLSENGINE_SERVE_TOKEN_FILE` | the file with that server's token, the one that it was given as `--token-file` | none |
"""  # noqa: E501

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

OVERLAYS = "_env"
"""Folder of the overlays, in `experiments/`."""


class SettingsError(Exception):
    """The installation is set up wrongly; the text says which variable and how to mend it."""


@dataclass(frozen=True)
class Settings:
    """Where one installation reads and writes. All paths are absolute."""

    project: Path
    home: Path
    catalog_url: str
    data_roots: tuple[Path, ...]
    airflow_url: str | None = None
    """May hold a login: show `without_login` of it."""
    named: Path | None = None
    """`project` as it was named, with its links: what outlives this process keeps this one, because a link may be turned to
    another folder (git-sync does so with each pull). None where nobody named it."""
    environment: str | None = None
    """Name of the overlay; `overlay` is its file."""
    serve_url: str | None = None
    """Of a `skillsengine serve`; what is wrong with it is told where it is asked (`serving.client`)."""
    serve_token_file: Path | None = None

    @property
    def experiments(self) -> Path:
        return self.project / "experiments"

    @property
    def overlay(self) -> Path | None:
        """The file whose values are laid over every spec; None where SKILLSENGINE_ENV is not set.

        Raises SettingsError if there is no such file: looked for only by what reads specs, and at each reading anew.
        """
        if self.environment is None:
            return None
        folder = self.experiments / OVERLAYS
        names = sorted(path.stem for path in folder.glob("*.yaml"))
        if self.environment not in names:
            there = f"There are: {', '.join(names)}." if names else "There are none."
            raise SettingsError(
                f"SKILLSENGINE_ENV={self.environment!r}: there is no such file in {folder}/. {there} "
                "Name one of them without its ending, write the file, or unset the variable."
            )
        return folder / f"{self.environment}.yaml"

    @property
    def store_root(self) -> Path:
        return self.home / "store"

    @property
    def allowed_roots(self) -> tuple[Path, ...]:
        """The folders that `data.source` and a local `base.model` of a spec may point into."""
        return (self.project, *self.data_roots)


def find_project(start: Path) -> Path:
    """The nearest folder at or above `start` that holds `experiments/`.

    Raises SettingsError where there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / "experiments").is_dir():
            return folder
    raise SettingsError(
        f"no folder `experiments/` in {start} or above it. Run this inside a project, "
        "or set SKILLSENGINE_PROJECT to the folder that holds `experiments/`."
    )


def load_settings(project: Path | None = None) -> Settings:
    """Read the settings from the environment; `project` wins over `SKILLSENGINE_PROJECT`.

    Raises SettingsError if no project is found or the named one holds no `experiments/`.
    """
    if project is None:
        named = os.environ.get("SKILLSENGINE_PROJECT")
        project = Path(named) if named else find_project(Path.cwd())
        if not (project / "experiments").is_dir():
            raise SettingsError(f"SKILLSENGINE_PROJECT={named}: there is no folder `experiments/` in it.")
    as_named, project = Path.cwd() / project, project.resolve()
    home = Path(os.environ.get("SKILLSENGINE_HOME") or project / ".skillsengine").resolve()
    roots = tuple(Path(p).resolve() for p in os.environ.get("SKILLSENGINE_DATA_ROOTS", "").split(os.pathsep) if p)
    catalog = os.environ.get("SKILLSENGINE_CATALOG") or f"sqlite:///{home / 'catalog.db'}"
    airflow_url = _with_login(os.environ.get("SKILLSENGINE_AIRFLOW_URL"))
    token_file = os.environ.get("SKILLSENGINE_SERVE_TOKEN_FILE")
    return Settings(
        project,
        home,
        catalog,
        roots,
        airflow_url,
        as_named,
        environment=os.environ.get("SKILLSENGINE_ENV") or None,
        serve_url=os.environ.get("SKILLSENGINE_SERVE_URL") or None,
        serve_token_file=Path(token_file).resolve() if token_file else None,
    )


def _with_login(url: str | None) -> str | None:
    """`url` with the login of SKILLSENGINE_AIRFLOW_LOGIN_FILE. Raises SettingsError if that file holds none."""
    file = os.environ.get("SKILLSENGINE_AIRFLOW_LOGIN_FILE")
    if not url or not file:
        return url or None
    try:
        user, found, password = Path(file).read_text(encoding="utf-8").strip().partition(":")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"SKILLSENGINE_AIRFLOW_LOGIN_FILE={file}: cannot be read ({error}). Name a file that holds `user:password`, or "
            "unset the variable."
        ) from error
    if not (user and found and password):
        raise SettingsError(f"SKILLSENGINE_AIRFLOW_LOGIN_FILE={file}: there is no `user:password` in it. Write one.")
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{host}").geturl()


def without_login(url: str) -> str:
    """An address without the user name and password that it may hold, and without a slash at its end."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")
