"""What the Hub and its client say when something is wrong with a data set, in words that name the place and the mend."""

from __future__ import annotations

import errno
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from skillsengine.sources.address import Address
from skillsengine.sources.errors import SourceError, SourceUnavailable


def hub_library(address: Address) -> Any:
    """The package huggingface_hub. Raises SourceError if it is not installed."""
    try:
        return importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise SourceError(
            f"data.source {address.source}: hf:// needs the package `huggingface_hub`, which is not installed here: "
            "pip install 'skillsengine[hf]'"
        ) from error


@contextmanager
def told(address: Address) -> Iterator[None]:
    """What the Hub's client raises, as SourceError (a retry does not help) or SourceUnavailable (it may)."""
    import httpx2
    from huggingface_hub import constants, errors

    at, root = f"data.source {address.source}", address.root
    try:
        yield
    except errors.GatedRepoError as error:
        raise SourceError(
            f"{at}: the data set is gated: accept its terms at https://huggingface.co/datasets/{root} and give the worker a "
            "token of that account (HF_TOKEN, `hf auth login`, or the password of data.connection)."
        ) from error
    except errors.DisabledRepoError as error:
        raise SourceError(f"{at}: the Hub has closed access to `{root}`. Take another data set.") from error
    except errors.RevisionNotFoundError as error:
        raise SourceError(
            f"{at}: the Hub has the data set `{root}`, but no revision `{address.revision}` of it. Take a commit, tag or "
            f"branch from https://huggingface.co/datasets/{root}/commits/main, or leave `@{address.revision}` out "
            "for the main branch."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise SourceError(
            f"{at}: the Hub has no data set `{root}`, or it is private and the worker has no token for it (HF_TOKEN, "
            "`hf auth login`, or the password of data.connection). Check the spelling: hf://organization/name."
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise SourceError(
            f"{at}: there is no such file or folder in the data set. Mend the path behind the revision."
        ) from error
    except errors.HFValidationError as error:
        raise SourceError(f"{at}: `{root}` is no valid name of a data set: {_first_line(error)}") from error
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        if not constants.HF_HUB_OFFLINE:
            raise _unavailable(at, error) from error
        raise SourceError(
            f"{at}: not (or not whole) in this machine's Hub cache ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE forbids a "
            f"download. Unset it, or fill the cache where there is a network: hf download --repo-type dataset {root}"
            f"{f' --revision {address.revision}' if address.revision else ''}"
        ) from error
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in (401, 403):
            raise SourceError(
                f"{at}: the Hub refuses access ({status}: {error.server_message or _first_line(error)}). Give the worker a "
                "token that may read the data set (HF_TOKEN, `hf auth login`, or the password of data.connection)."
            ) from error
        raise _unavailable(at, error) from error
    except (httpx2.HTTPError, ConnectionError, TimeoutError) as error:
        raise _unavailable(at, error) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise SourceError(
            f"{at}: the disk of the Hub cache ({constants.HF_HUB_CACHE}) is full; what is there is kept, and the next try goes "
            "on from it. Make room, or let HF_HOME name a larger disk."
        ) from error


def _unavailable(at: str, error: Exception) -> SourceUnavailable:
    return SourceUnavailable(
        f"{at}: the Hub could not be asked: {_first_line(error)}. Check the network (HF_ENDPOINT, HTTPS_PROXY); with a filled "
        "cache, HF_HUB_OFFLINE=1 does without it."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
