"""The sides of `peers` that need no language model: two lexicons and spaCy. Each writes what it found, and returns how it was
made.

Files of a side: `<side>-paragraphs.jsonl` ({"id", "skills"}), `<side>-ads.jsonl` (the same of whole ads, "spans" where the side
knows them), `<side>.json` (how it was made).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks._peers_ads import Ad, esco_names, paragraphs, write_lines
from skillsengine.scoring.lexicon import Lexicon
from skillsengine.scoring.places import occurrences

About = dict[str, Any]


def lexicon(ads: Sequence[Ad], folder: Path, limit: int | None) -> About:
    """The labels of the training paragraphs, as `evaluate[lexicon]` looks them up."""
    labels = {skill for row in paragraphs("train", limit) for skill in row["skills"]}
    return _look_up(ads, folder, "lexicon", labels)


def esco(ads: Sequence[Ad], folder: Path, limit: int | None) -> About:
    """The names of ESCO's skills, looked up in the same way; it learns nothing from these ads."""
    return _look_up(ads, folder, "esco", esco_names())


def _look_up(ads: Sequence[Ad], folder: Path, side: str, labels: Iterable[str]) -> About:
    names = sorted(labels)
    known = Lexicon(names)
    write_lines(
        folder / f"{side}-paragraphs.jsonl",
        [{"id": part.id, "skills": known.extract(part.text)} for ad in ads for part in ad.paragraphs],
    )
    write_lines(folder / f"{side}-ads.jsonl", [{"id": ad.id, "skills": known.extract(ad.text)} for ad in ads])
    return {"names": len(names)}


def spacy(ads: Sequence[Ad], folder: Path, limit: int | None, *, peer: Path, max_steps: int | None) -> About:
    """A spaCy NER trained on the training paragraphs in a process of its own, which knows nothing of this project.

    A label is marked wherever it stands in its paragraph as whole words, the longest of those that begin at a place. `peer`:
    a folder that holds spaCy and, if they are to be used, word vectors. `max_steps`: for a trial.
    """
    work = folder / "spacy"
    work.mkdir(exist_ok=True)
    for split in ("train", "dev"):
        marked = [
            {"text": row["job_description"], "spans": occurrences(row["job_description"], row["skills"])}
            for row in paragraphs(split, limit)
        ]
        write_lines(work / f"{split}.jsonl", marked)
    parts = [{"id": part.id, "text": part.text} for ad in ads for part in ad.paragraphs]
    write_lines(work / "paragraphs.jsonl", parts)
    write_lines(work / "ads.jsonl", [{"id": ad.id, "text": ad.text} for ad in ads])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(peer.resolve()), os.environ.get("PYTHONPATH", "")])}
    script = Path(__file__).with_name("_peers_spacy.py")
    given = {"work": str(work), "max_steps": max_steps}
    told = subprocess.run(
        [sys.executable, str(script), json.dumps(given)], stdout=subprocess.PIPE, text=True, check=True, env=environment
    ).stdout
    for kind in ("paragraphs", "ads"):
        (work / f"found-{kind}.jsonl").replace(folder / f"spacy-{kind}.jsonl")
    return dict(json.loads(told.splitlines()[-1]))


def finish(folder: Path, side: str, make: Callable[[], About]) -> None:
    """Let a side make its predictions unless it has, and keep how it was made: written last, so it says that all is there."""
    path = folder / f"{side}.json"
    if not path.is_file():
        path.write_text(json.dumps(make(), indent=1) + "\n", encoding="utf-8")
