"""Labels that people have made of cleaned ads, as the store keeps them: read, written, and joined to rows by id.

A line is {"id", "text": the cleaned ad that was labelled, "spans": [[start, end], ...]}, ascending by id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from skillsengine.spec.schema import CleaningStep
from skillsengine.stages.contract import SourceFile, StageError, Summary
from skillsengine.stages.labels import verbatim
from skillsengine.stages.records import Cleaned
from skillsengine.stages.rows import normalized_key
from skillsengine.stages.spans import Span, place_spans


@dataclass(frozen=True)
class Annotation:
    """The labels of one ad; no span says that it asks for no skill."""

    id: str
    text: str
    spans: tuple[Span, ...]

    @cached_property
    def key(self) -> str:
        return normalized_key(self.text)


def parse_annotations(text: str) -> dict[str, Annotation]:
    """Id -> annotation. Raises ValueError, KeyError or TypeError for what `render_annotations` has not written."""
    found = [json.loads(line) for line in text.splitlines()]
    return {
        line["id"]: Annotation(line["id"], line["text"], tuple((start, end) for start, end in line["spans"]))
        for line in found
    }


def render_annotations(annotations: Iterable[Annotation]) -> str:
    """The text of a label file; equal annotations make equal bytes."""
    lines = [
        {"id": each.id, "spans": [list(span) for span in each.spans], "text": each.text}
        for each in sorted(annotations, key=lambda each: each.id)
    ]
    # ASCII: a separator of Unicode inside an ad is no end of a line then.
    return "".join(json.dumps(line) + "\n" for line in lines)


class Joined:
    """Joins annotations to the rows of a partition, and counts the rows that took theirs."""

    def __init__(self, annotations: Mapping[str, Annotation]) -> None:
        self._annotations, self._used, self._rows = annotations, set[str](), 0

    @classmethod
    def of(cls, files: Sequence[SourceFile]) -> Joined:
        """The annotations of those `files` that are labels. Raises StageError for one that is gone or not the planned one."""
        found: dict[str, Annotation] = {}
        for file in files:
            found |= parse_annotations(_read(file)) if file.labels else {}
        return cls(found)

    def of_row(self, name: str, cleaned: Cleaned, steps: Sequence[CleaningStep]) -> Cleaned:
        """The row with the labels that a person has given it, or as it is. `name`: its id."""
        annotation, text = self._annotations.get(name), cleaned.record.text
        if annotation is None or (annotation.text != text and annotation.key != normalized_key(text)):
            return cleaned
        spans, lost = place_spans(annotation.text, text, [(*span, None) for span in annotation.spans], steps)
        if lost:
            return cleaned
        self._used.add(name)
        self._rows += 1
        skills, _ = verbatim([text[start:end] for start, end in spans], text, ())
        return Cleaned(replace(cleaned.record, labels=skills), spans=spans)

    def summary(self) -> Summary:
        """{"annotated": rows with a person's labels, "annotations_unused": annotations whose row was not seen, or has another
        text by now}; nothing where there are no annotations."""
        if not self._annotations:
            return {}
        return {"annotated": self._rows, "annotations_unused": len(self._annotations) - len(self._used)}


def _read(file: SourceFile) -> str:
    try:
        raw = file.path.read_bytes()
    except OSError as error:
        raise StageError(
            f"{file.uri}: the labels that `annotate import` has kept cannot be read ({error.strerror}). Put the file back, "
            "or run again so that a new plan is made."
        ) from error
    if hashlib.sha256(raw).hexdigest() != file.sha256:
        raise StageError(
            f"{file.uri}: these labels were changed by hand. Change them by `skillsengine annotate import`, and put back what "
            "stood there, or delete the file `current` beside its folder."
        )
    return raw.decode()
