"""The catalog: does it answer, and whose versions have no spec any more? It is neither made nor upgraded."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from skillsengine.doctor.finding import Finding, listed, ok, problem, warning
from skillsengine.doctor.patience import NoAnswer, Patience
from skillsengine.settings import Settings
from skillsengine.storage.catalog import Catalog, CatalogError, CatalogUnavailable
from skillsengine.storage.database import connect
from skillsengine.storage.migrate import HEAD, layout

_SUBJECT = "catalog"


def look_at_catalog(settings: Settings, patience: Patience) -> tuple[Finding, Catalog | None]:
    """What there is to say of it, and the catalog where it is there, of this version's layout, and answers."""
    path = _sqlite_file(settings.catalog_url)
    if path is not None and not path.exists():
        return ok(_SUBJECT, f"{path} is not there yet: the first run makes it"), None
    try:
        return patience.ask(lambda: _look(settings))
    except (CatalogError, CatalogUnavailable) as error:
        return problem(_SUBJECT, str(error)), None
    except NoAnswer as error:
        mend = "see that its server can be reached (SKILLSENGINE_CATALOG names it), then try again"
        return problem(_SUBJECT, str(error), mend), None


def _look(settings: Settings) -> tuple[Finding, Catalog | None]:
    engine = connect(settings.catalog_url)
    address = engine.url.render_as_string(hide_password=True)
    try:
        now = layout(engine)
    finally:
        engine.dispose()
    if now is None:
        return ok(_SUBJECT, f"{address} answers and is empty: the first run makes its tables"), None
    if now < HEAD:
        return ok(_SUBJECT, f"{address} answers; its layout is {now}, and the next command makes it {HEAD}"), None
    catalog = Catalog.open(settings.catalog_url)  # refuses a newer layout
    runs = len(catalog.list_runs(limit=1))
    return ok(_SUBJECT, f"{address} answers" + ("" if runs else ", no runs yet")), catalog


def examine_versions(catalog: Catalog, models: Collection[str], broken: Collection[str]) -> Iterator[Finding]:
    """Versions that no spec stands behind. Raises CatalogUnavailable.

    `models`: what the specs register under; `broken`: the names of those that do not compile, which do not tell.
    """
    without = defaultdict(list)
    for version in catalog.versions():
        if version.model not in models and version.model not in broken and version.experiment not in broken:
            without[version.model].append(version)
    for model, versions in without.items():
        makers = {version.experiment for version in versions}
        count = len(versions)
        aliases = listed([f"{model}@{alias}" for alias in catalog.aliases(model)])
        yield warning(
            f"versions of {model}",
            f"{count} version{'s' * (count != 1)} ({aliases or 'no alias'}), made by {listed(makers)}, and no spec registers "
            f"under `{model}` any more: nothing trains or scores them",
            f"bring the spec back (git log -- experiments/{min(makers)}.yaml), or name another one's `register.model` so; "
            "they can be used as they are",
        )


def _sqlite_file(url: str) -> Path | None:
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None  # told by whoever opens it
    named = parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:")
    return Path(str(parsed.database)) if named else None
