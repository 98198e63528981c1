"""Platform settings: what one installation is told by its environment, never by a spec.

`Variables` is the one place where a variable is declared: its type, its default, its meaning. docs/settings.md is made from it
(`python -m skillsengine.settings_reference > docs/settings.md`), and `doctor` shows what came of it. `Settings` is what the
rest of the code is given.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

OVERLAYS = "_env"
"""Folder of the overlays, in `experiments/`."""
CACHE_GB = 50.0


class SettingsError(Exception):
    """The installation is set up wrongly; the text says which variable and how to mend it."""


@dataclass(frozen=True)
class Kind:
    """What people are told of a variable, beside its meaning."""

    type: str
    """In words: `folder`."""
    default: str
    """What holds where it is not set."""
    write: str
    """How to mend a wrong value."""


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no address that begins with http:// or https:// and names a host")
    _ = parts.port  # raises ValueError where it is no number
    return value


def _split(value: Any) -> Any:
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


def _store(value: str) -> Path | str:
    """The folder, or `s3://bucket/prefix`."""
    scheme, there, rest = value.partition("://")
    if not there:
        return Path(value).expanduser().resolve()
    if scheme == "s3":
        bucket, _, prefix = rest.partition("/")
        prefix = prefix.strip("/")
        if re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket) and re.fullmatch(
            r"[\w!.*'()/-]*", prefix, re.ASCII
        ):
            return f"s3://{bucket}/{prefix}".rstrip("/")
        raise ValueError("names no bucket, or a prefix with other characters than letters, digits and `/-_.`")
    if scheme != "file":
        raise ValueError("is on a kind of store that there is not")
    if not rest.startswith("/"):
        raise ValueError("names no folder of this machine: three slashes, file:///srv/store")
    return Path(unquote(rest)).resolve()


Folder = Annotated[Path, AfterValidator(Path.expanduser)]
WebAddress = Annotated[str, AfterValidator(_web_address)]


class Variables(BaseModel):
    """The environment variables of an installation, by the names that `Settings` gives them. All may be missing; one that
    is empty counts as missing."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    project: Annotated[
        Folder | None,
        Kind("folder", "the nearest one with `experiments/`, from the current folder upwards", "Name a folder."),
    ] = Field(None, alias="SKILLSENGINE_PROJECT")
    """The folder that holds `experiments/`."""
    home: Annotated[Folder | None, Kind("folder", "`<project>/.skillsengine`", "Name a folder.")] = Field(
        None, alias="SKILLSENGINE_HOME"
    )
    """Where everything that is produced lives: catalog, store, the embedded Airflow, W&B runs."""
    store: Annotated[
        Annotated[Path | str, BeforeValidator(_store)] | None,
        Kind(
            "folder or address",
            "`store` in the home",
            "Write a folder (/srv/store or file:///srv/store), or a bucket of S3 or of a server that speaks like it "
            "(s3://bucket/prefix); or unset the variable: then it is the folder `store` in SKILLSENGINE_HOME.",
        ),
    ] = Field(None, alias="SKILLSENGINE_STORE")
    """Where artifacts live: a folder, or `s3://bucket/prefix` (its endpoint and credentials as AWS's tools have them:
    `AWS_ENDPOINT_URL_S3`, `AWS_ACCESS_KEY_ID`, a profile, a role)."""
    cache: Annotated[Folder | None, Kind("folder", "`cache` in the home", "Name a folder.")] = Field(
        None, alias="SKILLSENGINE_CACHE"
    )
    """With a store on S3: the folder of this machine for what was fetched from it."""
    cache_gb: Annotated[float, Kind("GB > 0", "50", "Write a number of GB above 0, such as 50 or 0.5.")] = Field(
        CACHE_GB, gt=0, allow_inf_nan=False, alias="SKILLSENGINE_CACHE_GB"
    )
    """How large that folder may grow."""
    catalog_url: Annotated[
        str | None,
        Kind("address", "SQLite in the home", "Write postgresql+psycopg://user:password@host/database."),
    ] = Field(None, alias="SKILLSENGINE_CATALOG")
    """SQLAlchemy address of the catalog: `sqlite:////folder/catalog.db` or `postgresql+psycopg://user:password@host/database`."""
    catalog_read_url: Annotated[
        str | None,
        Kind("address", "`SKILLSENGINE_CATALOG`", "Write postgresql+psycopg://reader:password@host/database."),
    ] = Field(None, alias="SKILLSENGINE_CATALOG_READ")
    """The same catalog for the pages in Airflow's API server, by a role that may only read. Set it there alone."""
    catalog_wait: Annotated[float, Kind("seconds ≥ 0", "300", "Write seconds, as 300; 0 does not wait.")] = Field(
        300.0, ge=0, allow_inf_nan=False, alias="SKILLSENGINE_CATALOG_WAIT"
    )
    """How long work that is under way waits for a catalog that does not answer, before it fails."""
    data_roots: Annotated[
        tuple[Folder, ...],
        BeforeValidator(_split),
        Kind(f"folders, joined by `{os.pathsep}`", "none", f"Name folders, joined by `{os.pathsep}`."),
    ] = Field((), alias="SKILLSENGINE_DATA_ROOTS")
    """Further folders that a spec may read from."""
    airflow_url: Annotated[
        WebAddress | None, Kind("address", "none; `make up` sets it", "Write http://user:password@host:8080.")
    ] = Field(None, alias="SKILLSENGINE_AIRFLOW_URL")
    """Airflow's API, for links, run notes and pausing: `http://user:password@host` where it asks for a login."""
    airflow_login_file: Annotated[Folder | None, Kind("file", "none", "Name a file.")] = Field(
        None, alias="SKILLSENGINE_AIRFLOW_LOGIN_FILE"
    )
    """The file with that login, `user:password`, which then does not stand in the address."""
    environment: Annotated[str | None, Kind("name", "none", "Name a file of `experiments/_env/`.")] = Field(
        None, alias="SKILLSENGINE_ENV"
    )
    """Name of the overlay `experiments/_env/<name>.yaml` that is laid over every spec."""
    serve_url: Annotated[str | None, Kind("address", "none: a run in Airflow answers", "Write http://host:8090.")] = (
        Field(None, alias="SKILLSENGINE_SERVE_URL")
    )
    """A `skillsengine serve` that the page *Try it* asks: `http://host:8090`."""
    serve_token_file: Annotated[Folder | None, Kind("file", "none", "Name a file.")] = Field(
        None, alias="SKILLSENGINE_SERVE_TOKEN_FILE"
    )
    """The file with that server's token, the one that it was given as `--token-file`."""


VARIABLES: Mapping[str, str] = {str(field.alias): name for name, field in Variables.model_fields.items()}
"""`SKILLSENGINE_HOME` -> `home`, in the order in which they are told."""
SUPERVISOR = "SKILLSENGINE_SUPERVISOR"
"""Process id that the embedded Airflow hands to its own parts; nobody else sets it."""


def kind_of(name: str) -> Kind:
    """What people are told of the field `name` of `Variables`."""
    return next(item for item in Variables.model_fields[name].metadata if isinstance(item, Kind))


def read_variables(environ: Mapping[str, str] | None = None) -> Variables:
    """The variables of `environ`, by default of this process. Raises SettingsError, which tells all wrong values at once."""
    given = {name: value for name in VARIABLES if (value := (os.environ if environ is None else environ).get(name))}
    try:
        return Variables.model_validate(given)
    except ValidationError as error:
        told = []
        for wrong in error.errors():
            variable = str(wrong["loc"][0])
            why = wrong["msg"].removeprefix("Value error, ")
            value = without_password(given[variable])
            told.append(f"{variable}={value!r}: {why[0].lower()}{why[1:]}. {kind_of(VARIABLES[variable]).write}")
        raise SettingsError("\n".join(told)) from error


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
    airflow_login_file: Path | None = None
    """Where the login in `airflow_url` is from."""
    catalog_read_url: str | None = None
    """Address of the catalog for what only reads; None where that is `catalog_url`."""
    catalog_wait: float = 300.0
    """Seconds that work under way waits for a catalog that does not answer."""
    store: Path | str | None = None
    """A folder, or `s3://bucket/prefix`; None is the folder in the home."""
    cache: Path | None = None
    """None is the folder in the home."""
    cache_gb: float = CACHE_GB
    """What the cache of a store on S3 may hold."""

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
    def cache_bytes(self) -> int:
        return int(self.cache_gb * 1e9)

    @property
    def store_root(self) -> Path:
        """The folder of a local store. With one on S3, what stays on this machine: converted bases."""
        return self.store if isinstance(self.store, Path) else self.home / "store"

    @property
    def cache_root(self) -> Path:
        """Where a store on S3 keeps what it has fetched."""
        return self.cache or self.home / "cache"

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

    Raises SettingsError if no project is found, the named one holds no `experiments/`, or a variable has a wrong value.
    """
    told = read_variables()
    if project is None:
        project = told.project or find_project(Path.cwd())
        if not (project / "experiments").is_dir():
            raise SettingsError(f"SKILLSENGINE_PROJECT={told.project}: there is no folder `experiments/` in it.")
    as_named, project = Path.cwd() / project, project.resolve()
    home = (told.home or project / ".skillsengine").resolve()
    return Settings(
        project,
        home,
        told.catalog_url or f"sqlite:///{home / 'catalog.db'}",
        tuple(root.resolve() for root in told.data_roots),
        _with_login(told.airflow_url, told.airflow_login_file),
        as_named,
        environment=told.environment,
        serve_url=told.serve_url,
        serve_token_file=told.serve_token_file.resolve() if told.serve_token_file else None,
        airflow_login_file=told.airflow_login_file,
        catalog_read_url=told.catalog_read_url,
        catalog_wait=told.catalog_wait,
        store=told.store,
        cache=told.cache.resolve() if told.cache else None,
        cache_gb=told.cache_gb,
    )


def _with_login(url: str | None, file: Path | None) -> str | None:
    """`url` with the login that `file` holds. Raises SettingsError if it holds none."""
    if url is None or file is None:
        return url
    try:
        user, found, password = file.read_text(encoding="utf-8").strip().partition(":")
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
    """An address without the user name and password that it may hold, and without a slash at its end.

    Of what is no address, such as one without `http://`, nothing before an `@` is kept either: it is shown in the error.
    """
    parts = urlsplit(url)
    if not parts.netloc:
        return url.rpartition("@")[2].rstrip("/")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl().rstrip("/")


def without_password(address: str) -> str:
    """An address as it may be shown: no password of a login, and no value of a query that is named like a secret."""
    login = r"(://[^/@:]*):.*@" if "://" in address else r"^([^/@:]*):.*@"
    shown = re.sub(login, r"\1:***@", address)
    return re.sub(r"([?&][^=&]*(?:password|secret|token|key)[^=&]*=)[^&]*", r"\1***", shown, flags=re.IGNORECASE)
