"""Open one file of a source as a stream of bytes."""

from __future__ import annotations

from io import BytesIO
from typing import BinaryIO

from skillsengine.sources.address import parse_address
from skillsengine.sources.connection import Connect
from skillsengine.sources.errors import SourceError
from skillsengine.sources.files import SourceFile
from skillsengine.sources.hub import open_hub_file
from skillsengine.sources.objects import open_object
from skillsengine.storage.object_labels import read_labels


def open_source(file: SourceFile, connect: Connect) -> BinaryIO:
    """The file's bytes, to be read once from the beginning; only the stream of a file on this machine can seek.

    Raises SourceError: cannot be opened, gone, or (SourceChanged) not the one any more that was found; SourceUnavailable: its
    store does not answer; StoreError where the labels that people made are gone from our own. What is read from an object store
    comes block by block, and reading may raise the same; a file of the Hub is first downloaded to the Hub's cache.
    """
    if not file.remote:
        try:
            return file.path.open("rb")
        except OSError as error:
            raise SourceError(
                f"{file.uri}: cannot be read ({error.strerror}). Mend the file or its permissions."
            ) from error
    if file.labels:
        return BytesIO(read_labels(str(file.uri)))
    address = parse_address(str(file.uri))
    if address.scheme == "hf":
        return open_hub_file(file, address, connect)
    return open_object(file, address, connect)
