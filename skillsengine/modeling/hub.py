"""Download of a Hub model, with errors that say how to mend them."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import constants, snapshot_download
from huggingface_hub.errors import (
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


def download(model: str, revision: str | None, *, tokenizer_only: bool = False) -> tuple[Path, str]:
    """(folder, commit) of a Hub model in the Hub's own cache; with HF_HUB_OFFLINE only what is there already.

    Raises ModelError: gated, unknown, no such revision, offline, and (with `retry`) a network that does not answer.
    """
    at = f"`{model}`" + (f" at revision `{revision}`" if revision else "")
    offline = constants.HF_HUB_OFFLINE
    try:
        folder = snapshot_download(
            model,
            revision=revision,
            allow_patterns=list(_TOKENIZER if tokenizer_only else _TOKENIZER + _WEIGHTS),
            ignore_patterns=list(_LEFT_OUT),
            local_files_only=offline,
        )
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
                "forbids a download. Unset it, fill the cache (`hf download`), or name a local folder."
            ) from error
        raise _unreachable(at, error) from error
    except (HfHubHTTPError, ConnectionError, TimeoutError) as error:
        raise _unreachable(at, error) from error
    path = Path(folder)
    return path, path.name


def _unreachable(at: str, error: Exception) -> ModelError:
    reason = str(error).strip().split("\n")[0] or type(error).__name__
    return ModelError(
        f"base.model: the Hub could not be asked for {at}: {reason}. Check the network (HF_ENDPOINT, HTTPS_PROXY); with "
        "a filled cache, HF_HUB_OFFLINE=1 does without it.",
        retry=True,
    )
