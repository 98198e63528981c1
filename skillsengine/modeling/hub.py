"""Download of a Hub model, with errors that say how to mend them."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
    DryRunError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from skillsengine.modeling.errors import ModelError

# Only safetensors are read, and no code of a repository ever runs: nothing else is worth the transfer.
_TOKENIZER = ("*.json", "*.model", "*.txt", "*.jinja")
_WEIGHTS = ("*.safetensors",)
_LEFT_OUT = ("original/*", "consolidated*", "onnx/*", "*/*")


@dataclass(frozen=True)
class HubFiles:
    """What of a Hub model this installation needs, and how much of it is here."""

    commit: str
    files: int
    size: int
    """Bytes of all needed files; 0 for those whose size the Hub does not tell."""
    missing: int
    """Bytes that are not in the cache yet."""
    cache: Path

    @property
    def free(self) -> int:
        """Bytes free on the cache's disk."""
        folder = self.cache
        while not folder.exists():
            folder = folder.parent
        return shutil.disk_usage(folder).free


def download(model: str, revision: str | None, *, tokenizer_only: bool = False) -> tuple[Path, str]:
    """(folder, commit) of a Hub model in the Hub's own cache; with HF_HUB_OFFLINE only what is there already.

    A download that was interrupted goes on where it stopped.

    Raises ModelError: gated, unknown, no such revision, offline, and (with `retry`) a network that does not answer.
    """
    with _errors(model, revision):
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=list(_TOKENIZER if tokenizer_only else _TOKENIZER + _WEIGHTS),
            ignore_patterns=list(_LEFT_OUT),
            local_files_only=constants.HF_HUB_OFFLINE,
        )
    path = Path(folder)
    return path, path.name


def look(model: str, revision: str | None) -> HubFiles:
    """Ask the Hub what `download` would fetch, without fetching it; offline, look into the cache alone.

    Raises ModelError as `download` does, and where the repository holds nothing that is read here.
    """
    cache = Path(constants.HF_HUB_CACHE)
    if constants.HF_HUB_OFFLINE:
        folder, commit = download(model, revision)
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        return HubFiles(commit, len(sizes), sum(sizes), 0, cache)
    with _errors(model, revision):
        try:
            found = snapshot_download(
                model,
                revision=revision,
                allow_patterns=list(_TOKENIZER + _WEIGHTS),
                ignore_patterns=list(_LEFT_OUT),
                dry_run=True,
            )
        except DryRunError as error:
            # The client wraps what it was: gated or unknown, or an error of its HTTP library where nobody answers.
            if isinstance(error.__cause__, (HfHubHTTPError, OSError)):
                raise error.__cause__ from None
            raise
    if not found:
        raise ModelError(
            f"base.model: `{model}` holds no file that is read here (config and tokenizer as JSON, weights as safetensors)."
        )
    return HubFiles(
        found[0].commit_hash,
        len(found),
        sum(file.file_size or 0 for file in found),
        sum(file.file_size or 0 for file in found if file.will_download),
        cache,
    )


@contextmanager
def _errors(model: str, revision: str | None) -> Iterator[None]:
    """What the Hub's client raises, as a ModelError that says what to do."""
    at = f"`{model}`" + (f" at revision `{revision}`" if revision else "")
    offline = constants.HF_HUB_OFFLINE
    try:
        yield
    except GatedRepoError as error:
        raise ModelError(
            f"base.model: {at} is gated: accept its licence at https://huggingface.co/{model} and give the worker a "
            "token of that account (HF_TOKEN, or `hf auth login`)."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(
            f"base.revision: the Hub has `{model}`, but no revision `{revision}`. Take a commit, tag or branch from "
            f"https://huggingface.co/{model}/commits/main, or null for the main branch."
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"base.model: the Hub has no model {at}, or it is private and the worker has no token for it (HF_TOKEN). "
            "Check the spelling: organization/name, as in meta-llama/Llama-2-13b-hf."
        ) from error
    except HFValidationError as error:
        raise ModelError(f"base.model: {at} is not a valid Hub id: {error}") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        if offline:
            raise ModelError(
                f"base.model: {at} is not in this machine's Hub cache ({constants.HF_HUB_CACHE}), and HF_HUB_OFFLINE "
                "forbids a download. Unset it, fill the cache with `skillsengine pull SPEC` where there is a network, "
                "or name a local folder."
            ) from error
        raise _unreachable(at, error) from error
    except (HfHubHTTPError, ConnectionError, TimeoutError) as error:
        raise _unreachable(at, error) from error
    except DryRunError as error:
        raise _unreachable(at, error.__cause__ or error) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ModelError(
            f"base.model: the disk of the Hub cache ({constants.HF_HUB_CACHE}) is full, so {at} could not be fetched whole; "
            "what is there is kept, and the next try goes on from it. Make room, or let HF_HOME name a larger disk."
        ) from error


def _unreachable(at: str, error: BaseException) -> ModelError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return ModelError(
        f"base.model: the Hub could not be asked for {at}: {reason}. Check the network (HF_ENDPOINT, HTTPS_PROXY); with "
        "a filled cache, HF_HUB_OFFLINE=1 does without it.",
        retry=True,
    )
