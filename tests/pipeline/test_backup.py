"""What `backup` and `restore` refuse; what they do is in tests/cli/test_backing_up.py."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from skillsengine.pipeline.backup import BackupError, back_up
from skillsengine.settings import load_settings
from skillsengine.storage.catalog import Catalog
from skillsengine.storage.opening import open_store


def test_a_store_in_a_bucket_is_for_the_buckets_own_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "experiments").mkdir()
    monkeypatch.setenv("SKILLSENGINE_STORE", "s3://talent/skills")
    settings = load_settings(tmp_path)
    with pytest.raises(BackupError, match="s3://talent/skills, and this command copies folders") as caught:
        back_up(open_store(settings), Catalog.open(settings.catalog_url), tmp_path / "copy", datetime.now(UTC))
    assert "Save the catalog first (`pg_dump`), then copy the bucket (`aws s3 sync`)" in str(caught.value)
    assert not (tmp_path / "copy").exists()
