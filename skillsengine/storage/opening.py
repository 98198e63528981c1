"""The one door to the store and to the labels in it: in a folder or in a bucket, as the settings say."""

from __future__ import annotations

from skillsengine.settings import Settings
from skillsengine.storage.bucket import Bucket
from skillsengine.storage.cache import Cache
from skillsengine.storage.label_files import LabelFiles
from skillsengine.storage.object_labels import ObjectLabelFiles
from skillsengine.storage.object_store import ObjectStore
from skillsengine.storage.store import Store


def open_store(settings: Settings) -> Store:
    """The installation's store. Neither a disk nor a bucket is touched."""
    if not isinstance(settings.store, str):
        return Store(settings.store_root)
    cache = Cache(settings.cache_root, settings.cache_bytes)
    return ObjectStore(Bucket.of(settings.store), cache, settings.store_root / "bases")


def open_labels(settings: Settings, experiment: str) -> LabelFiles:
    """The labels that people have made of the ads of an experiment. Neither a disk nor a bucket is touched."""
    if not isinstance(settings.store, str):
        return LabelFiles(settings.store_root, experiment)
    return ObjectLabelFiles(Bucket.of(settings.store), experiment)
