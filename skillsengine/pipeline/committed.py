"""The specs as they stand in git's last commit, for a look back that leaves the work tree alone."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

REVISION = "HEAD"
_LINK, _MODULE = b"120000", b"160000"
_SECONDS = 60


class CommitError(Exception):
    """The last commit cannot be read, or does not hold what was looked for; the text says why and the mend."""


@contextmanager
def committed(experiments: Path) -> Iterator[Path]:
    """The folder `experiments` as it stands in HEAD, in a temporary place that is gone afterwards.

    Files are as git keeps them, without the filters and line endings of the work tree; links are links. Raises CommitError
    where there is no git, no repository around the folder, or no commit in it.
    """
    entries = _entries(experiments)
    with TemporaryDirectory(prefix="skillsengine-") as folder:
        root = Path(folder) / experiments.name
        root.mkdir()
        contents = _contents(experiments, [blob for _, blob, _ in entries])
        for (mode, _, name), data in zip(entries, contents, strict=True):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if mode == _LINK:
                path.symlink_to(data.decode(errors="surrogateescape"))
            else:
                path.write_bytes(data)
        yield root


def _entries(experiments: Path) -> list[tuple[bytes, bytes, PurePosixPath]]:
    """(mode, id of its content, path below the folder) of every file of the commit."""
    _git(experiments, "rev-parse", "--git-dir", failed=_no_repository(experiments))
    _git(
        experiments,
        "rev-parse",
        "--verify",
        "--quiet",
        f"{REVISION}^{{commit}}",
        failed=f"the git repository around {experiments} has no commit yet, so there is nothing to compare with. Commit "
        "first, or name a second spec.",
    )
    listed = _git(experiments, "ls-tree", "-r", "-z", REVISION)
    found = []
    for row in listed.split(b"\0")[:-1]:
        head, _, name = row.partition(b"\t")
        mode, _, blob = head.split(b" ")
        path = PurePosixPath(name.decode(errors="surrogateescape"))
        if mode != _MODULE:
            found.append((mode, blob, path))
    names = Counter(path for _, _, path in found)
    for path, times in names.items():
        # Git itself makes no such commit. A link of the same name as a file or a folder would lead that one elsewhere.
        if path.is_absolute() or ".." in path.parts or times > 1 or any(parent in names for parent in path.parents):
            raise CommitError(f"{REVISION} holds a file with the path {str(path)!r}, which leads out of its folder.")
    return found


def _contents(experiments: Path, blobs: list[bytes]) -> list[bytes]:
    """What stands in each of the files."""
    answer = _git(experiments, "cat-file", "--batch", given=b"".join(blob + b"\n" for blob in blobs))
    contents, at = [], 0
    for blob in blobs:
        end = answer.index(b"\n", at)
        head = answer[at:end].split(b" ")
        if len(head) != 3:
            raise CommitError(
                f"git does not have the content of {blob.decode()} of {REVISION}: the clone is not whole. Fetch it again."
            )
        size = int(head[2])
        contents.append(answer[end + 1 : end + 1 + size])
        at = end + size + 2
    return contents


def _no_repository(experiments: Path) -> str:
    return (
        f"there is no git repository around {experiments}, so there is no {REVISION} to compare with. Name a second spec, or "
        "a version: skillsengine diff MODEL@champion SPEC"
    )


def _git(folder: Path, *words: str, given: bytes = b"", failed: str | None = None) -> bytes:
    """What git prints. `failed` is said in place of git's own words where it fails without saying that it refuses."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], input=given, capture_output=True, check=True, timeout=_SECONDS
        )
    except FileNotFoundError as error:
        raise CommitError(
            f"git is not installed, so there is no {REVISION} to compare with. Name a second spec."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommitError(f"git {words[0]} in {folder} did not end within {_SECONDS} s.") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()
        if failed and "dubious ownership" not in said:
            raise CommitError(failed) from error
        raise CommitError(f"git {words[0]} in {folder}: {said}") from error
    return done.stdout
