"""Push a registered version to a repository of the Hugging Face Hub: its adapter, tokenizer and card.

A version `job-skills@7` becomes one commit on the main branch with the git tag `v7`. The tag is what makes a push
repeatable: where it stands already and holds the same version, nothing is sent again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSION_FILE = "version.json"
_MANIFEST = "manifest.json"


class PushError(Exception):
    """A version could not be pushed; the text says why and how to mend it."""

    def __init__(self, text: str, *, retry: bool = False) -> None:
        super().__init__(text)
        self.retry = retry
        """Whether the same call may succeed later (network, a Hub that is ill)."""


@dataclass(frozen=True)
class Pushed:
    """Where a version stands on the Hub."""

    repo: str
    tag: str
    commit: str
    url: str
    new: bool
    """False where the tag stood there already."""


def push(folder: Path, repo: str, *, version: str, private: bool) -> Pushed:
    """Push the version folder to `repo` (`org/name`) and tag it `v<number>`; `version` is `model@number`.

    A repository that is missing is made, private where `private` says so; one that is there keeps its visibility. The token
    is the environment's (HF_TOKEN, or `hf auth login`).

    Raises PushError: no token, no right to write, a name that the Hub refuses, a tag that holds another version, and
    (with `retry`) a network or a Hub that does not answer.
    """
    # Only a push loads it: the tracker's room is imported by every stage.
    from huggingface_hub import HfApi

    api, tag = HfApi(), f"v{version.rpartition('@')[2]}"
    with _errors(repo, version), _quiet():
        api.create_repo(repo, private=private, exist_ok=True)
        found = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo).tags}
        if tag in found:
            _require_same(api, folder, repo, tag, version)
            return Pushed(repo, tag, found[tag], _url(api, repo, tag), new=False)
        info = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=f"{version}", ignore_patterns=[_MANIFEST]
        )
        api.create_tag(repo, tag=tag, revision=info.oid, tag_message=version, exist_ok=True)
    return Pushed(repo, tag, str(info.oid), _url(api, repo, tag), new=True)


def _url(api: Any, repo: str, tag: str) -> str:
    return f"{api.endpoint}/{repo}/tree/{tag}"


def _require_same(api: Any, folder: Path, repo: str, tag: str, version: str) -> None:
    """Two installations that push to one repository must not take each other's number for their own."""
    there = json.loads(Path(api.hf_hub_download(repo, VERSION_FILE, revision=tag)).read_text(encoding="utf-8"))
    here = json.loads((folder / VERSION_FILE).read_text(encoding="utf-8"))
    if there["lineage"]["register"] != here["lineage"]["register"]:
        raise PushError(
            f"register.hub: {repo} has a tag {tag} already, and it is another adapter than {version} here (its version.json "
            f"says {there['model']}@{there['number']}, artifact {there['lineage']['register'][:12]}). Another installation "
            "pushes there: give each its own repository in register.hub."
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """No progress bars: in a task's log they are debris."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            enable_progress_bars()


@contextmanager
def _errors(repo: str, version: str) -> Iterator[None]:
    """What the Hub's client raises, as a PushError that says what to do."""
    import httpx2  # what the client itself talks through
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    kept = f"{version} is registered here all the same"
    try:
        yield
    except LocalTokenNotFoundError as error:
        raise PushError(_no_token(repo, kept)) from error
    except HFValidationError as error:
        raise PushError(f"register.hub: `{repo}` is no name that the Hub allows: {error}. {kept}.") from error
    except OfflineModeIsEnabled as error:
        raise PushError(
            f"register.hub: HF_HUB_OFFLINE forbids asking the Hub, so {repo} was not written. Unset it where `push` runs, or "
            f"set register.hub to null. {kept}."
        ) from error
    except HfHubHTTPError as error:
        raise _refused(repo, kept, error) from error
    except (httpx2.HTTPError, OSError, RuntimeError) as error:
        # RuntimeError is what the client wraps a failed transfer of one file in.
        reason = str(error.__cause__ or error).strip().split("\n")[0] or type(error).__name__
        raise PushError(
            f"register.hub: the Hub could not be reached for {repo}: {reason}. Check the network (HF_ENDPOINT, "
            f"HTTPS_PROXY), then run the task `push` again. {kept}.",
            retry=True,
        ) from error


def _no_token(repo: str, kept: str) -> str:
    return (
        f"register.hub: pushing to {repo} needs a token with the right to write. Set HF_TOKEN where `push` runs (or "
        f"`hf auth login`), then run the task `push` again. {kept}."
    )


def _refused(repo: str, kept: str, error: Any) -> PushError:
    status = error.response.status_code if error.response is not None else 0
    said = (error.server_message or str(error)).strip().split("\n")[0]
    if status == 401:
        return PushError(_no_token(repo, kept))
    if status == 403:
        return PushError(
            f"register.hub: the Hub's answer for {repo} is 403 ({said}): the token may not write there. Give it write access "
            f"to `{repo.partition('/')[0]}`, or name a repository of its account. {kept}."
        )
    if status in (408, 429) or status >= 500:
        return PushError(
            f"register.hub: the Hub's answer for {repo} is {status} ({said}). Run the task `push` again later. {kept}.",
            retry=True,
        )
    return PushError(f"register.hub: the Hub's answer for {repo} is {status} ({said}). {kept}.")
