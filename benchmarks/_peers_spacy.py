"""spaCy's side of `peers`, in a process of its own that has spaCy (PYTHONPATH) and nothing of this project:
`python benchmarks/_peers_spacy.py JSON`.

The pipeline is the one that `spacy init config --pipeline ner` writes for a CPU (tok2vec of width 96 and depth 4, as in
spaCy's own English pipelines), with word vectors where the folder of spaCy holds some, trained by `spacy train`'s own loop
with its own early stopping on the dev paragraphs.

Reads train.jsonl, dev.jsonl ({"text", "spans"}), paragraphs.jsonl and ads.jsonl ({"id", "text"}) of `work`; writes
found-paragraphs.jsonl and found-ads.jsonl ({"id", "skills", "spans"}); prints how it was made.
"""

from __future__ import annotations

import json
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import spacy
from spacy.cli.init_config import init_config
from spacy.cli.train import train
from spacy.tokens import Doc, DocBin
from spacy.util import filter_spans

SEED = 7
LABEL = "SKILL"


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").rstrip("\n").split("\n")]


def write_docs(nlp: spacy.Language, lines: Path, out: Path) -> dict[str, int]:
    """Marked paragraphs as spaCy trains on them; a mark that ends inside a token takes the whole token."""
    docs, asked, kept = [], 0, 0
    for row in read_lines(lines):
        doc: Doc = nlp.make_doc(row["text"])
        spans = [doc.char_span(start, end, label=LABEL, alignment_mode="expand") for start, end in row["spans"]]
        doc.ents = filter_spans([span for span in spans if span is not None])
        asked, kept = asked + len(row["spans"]), kept + len(doc.ents)
        docs.append(doc)
    DocBin(docs=docs).to_disk(out)
    return {"paragraphs": len(docs), "marks": asked, "marks_kept": kept}


def vectors() -> Path | None:
    """The pipeline with word vectors that was installed beside spaCy, by its folder."""
    beside = Path(spacy.__file__).parent.parent
    found = sorted(path.parent.parent for path in beside.glob("**/vocab/vectors"))
    return found[0] if found else None


def name_of(pipeline: Path) -> str:
    meta = json.loads((pipeline / "meta.json").read_text(encoding="utf-8"))
    return f"{meta['lang']}_{meta['name']} {meta['version']}"


def predict(nlp: spacy.Language, work: Path, kind: str) -> None:
    rows = read_lines(work / f"{kind}.jsonl")
    with (work / f"found-{kind}.jsonl").open("w", encoding="utf-8") as file:
        for row, doc in zip(rows, nlp.pipe(row["text"] for row in rows), strict=True):
            found = {
                "id": row["id"],
                "skills": list(dict.fromkeys(span.text for span in doc.ents)),
                "spans": [[span.start_char, span.end_char] for span in doc.ents],
            }
            file.write(json.dumps(found, ensure_ascii=False) + "\n")


def main() -> None:
    given = json.loads(sys.argv[1])
    work = Path(given["work"])
    known = vectors()
    blank = spacy.blank("en")
    counts = {split: write_docs(blank, work / f"{split}.jsonl", work / f"{split}.spacy") for split in ("train", "dev")}
    config = init_config(lang="en", pipeline=["ner"], optimize="efficiency", gpu=False)
    config["paths"] |= {"train": str(work / "train.spacy"), "dev": str(work / "dev.spacy")}
    if known:
        config["paths"]["vectors"] = str(known)
        config["initialize"]["vectors"] = str(known)
        config["components"]["tok2vec"]["model"]["embed"]["include_static_vectors"] = True
    config["training"]["seed"] = SEED
    config["system"]["seed"] = SEED
    if given["max_steps"]:
        config["training"] |= {"max_steps": given["max_steps"], "eval_frequency": given["max_steps"]}
    config.to_disk(work / "config.cfg")
    started = time.monotonic()
    with redirect_stdout(sys.stderr):  # its table of scores
        train(work / "config.cfg", work / "model", use_gpu=-1)
    seconds = time.monotonic() - started
    nlp = spacy.load(work / "model" / "model-best")
    for kind in ("paragraphs", "ads"):
        predict(nlp, work, kind)
    performance = nlp.meta["performance"]
    about = {
        "spacy": spacy.__version__,
        "vectors": name_of(known) if known else None,
        "train": counts["train"],
        "dev": counts["dev"],
        "dev_ents_f": round(performance["ents_f"], 4),
        "seconds": round(seconds, 1),
        "seed": SEED,
    }
    print(json.dumps(about))


if __name__ == "__main__":
    main()
