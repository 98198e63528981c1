"""`experiments/` as git's last commit has it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from skillsengine.pipeline.committed import CommitError, committed
from tests.git import commit


@pytest.fixture
def experiments(tmp_path: Path) -> Path:
    folder = tmp_path / "repository" / "project" / "experiments"
    (folder / "_base").mkdir(parents=True)
    (folder / "job.yaml").write_text("name: job\n")
    (folder / "_base" / "naïve name.yaml").write_bytes(b"\xff\x00\n\n")
    (folder / "link.yaml").symlink_to("job.yaml")
    (folder.parent / "other.txt").write_text("not read")
    return folder


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_is_read_whole_and_the_work_tree_is_left_alone(experiments: Path) -> None:
    commit(experiments.parents[1])
    was = _tree(experiments)
    (experiments / "job.yaml").write_text("name: changed\n")
    (experiments / "new.yaml").write_text("name: new\n")
    (experiments / "_base" / "naïve name.yaml").unlink()
    index = experiments.parents[1] / ".git" / "index"
    before, at = _tree(experiments), index.stat().st_mtime_ns
    with committed(experiments) as folder:
        assert _tree(folder) == was
        assert (folder / "link.yaml").is_symlink()
        assert folder.name == "experiments"
    assert not folder.exists()
    assert (_tree(experiments), index.stat().st_mtime_ns) == (before, at)


def test_a_folder_that_the_commit_does_not_have_is_empty(experiments: Path) -> None:
    repository = experiments.parents[1]
    (repository / "readme").write_text("x")
    commit(repository, "readme")
    with committed(experiments) as folder:
        assert _tree(folder) == {}


def test_no_repository(experiments: Path) -> None:
    with (
        pytest.raises(CommitError, match=r"there is no git repository around .*Name a second spec") as caught,
        committed(experiments),
    ):
        pass
    assert "skillsengine diff MODEL@champion SPEC" in str(caught.value)


def test_no_commit(experiments: Path) -> None:
    subprocess.run(["git", "init", "-q", str(experiments.parents[1])], check=True)
    with pytest.raises(CommitError, match="has no commit yet"), committed(experiments):
        pass


def test_no_git(experiments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(experiments))
    with pytest.raises(CommitError, match=r"git is not installed.* Name a second spec"), committed(experiments):
        pass


def test_a_repository_of_somebody_else(experiments: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit(experiments.parents[1])
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(experiments))
    with pytest.raises(CommitError, match="dubious ownership"), committed(experiments):
        pass


def test_a_content_that_git_has_lost(experiments: Path) -> None:
    repository = experiments.parents[1]
    commit(repository)
    blob = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "HEAD:project/experiments/job.yaml"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with (
        pytest.raises(CommitError, match=f"git does not have the content of {blob} of HEAD: the clone is not whole"),
        committed(experiments),
    ):
        pass


def test_paths_that_lead_out(experiments: Path) -> None:
    """Git makes no such commits by itself, but they can be made by hand and pushed."""
    repository = experiments.parents[1]
    commit(repository)

    def git(*words: str, given: str = "") -> str:
        done = subprocess.run(
            ["git", "-C", str(repository), *words], input=given, capture_output=True, check=True, text=True
        )
        return done.stdout.strip()

    def commit_with(*entries: str) -> None:
        tree = git("mktree", given="\n".join(entries))
        for name in ("experiments", "project"):
            tree = git("mktree", given=f"040000 tree {tree}\t{name}")
        made = git("-c", "user.name=x", "-c", "user.email=x@example.com", "commit-tree", tree, "-m", "x")
        git("update-ref", "HEAD", made)

    blob = git("rev-parse", "HEAD:project/experiments/job.yaml")
    link = git("hash-object", "-w", "--stdin", given=str(experiments.parent))
    escaped = git("mktree", given=f"100644 blob {blob}\tescaped.yaml")
    commit_with(f"040000 tree {escaped}\t..")
    with pytest.raises(CommitError, match=r"the path '\.\./escaped\.yaml', which leads out"), committed(experiments):
        pass
    commit_with(f"120000 blob {link}\tfolder", f"040000 tree {escaped}\tfolder")
    with pytest.raises(CommitError, match=r"the path 'folder/escaped\.yaml', which leads out"), committed(experiments):
        pass
    commit_with(f"120000 blob {link}\tx.yaml", f"100644 blob {blob}\tx.yaml")
    with pytest.raises(CommitError, match=r"the path 'x\.yaml', which leads out"), committed(experiments):
        pass
    assert not (experiments.parent / "escaped.yaml").exists()
