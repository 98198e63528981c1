"""`annotate export` and `annotate import`, as they are typed, without a model. With one: tests/pipeline/test_run.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from skillsengine.storage.label_files import LabelFiles
from tests.cli.conftest import Command
from tests.cli.test_matrix import SPEC
from tests.pipeline.project import make_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    settings = make_project(tmp_path / "project", ("2026-01", "2026-02", "2026-03"), base=False)
    (settings.experiments / "tiny.yaml").write_text(SPEC)
    for key in ("2026-02", "2026-03"):
        path = settings.project / "data" / "ads" / f"{key}.jsonl"
        ads = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps(ad | {"skills": None}) + "\n" for ad in ads))
    return settings.project


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def labelled(ad: dict[str, Any]) -> dict[str, Any]:
    """The trade of an ad of `write_month`, as a person would mark it."""
    start = ad["text"].index("wants ") + len("wants ")
    return ad | {"label": [[start, ad["text"].index(" by the"), "SKILL"]]}


def write(path: Path, ads: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(ad) + "\n" for ad in ads))
    return path.name


def test_out_edited_and_back(command: Command, project: Path) -> None:
    said = command("annotate", "export", "tiny", "--no-proposals", "--partition", "2026-02", "-o", "out.jsonl")
    assert (said.code, said.out) == (0, "")
    assert said.err == (
        "8 of 8 ads without labels in 2026-02, written to out.jsonl\n"
        "labels come back by: skillsengine annotate import tiny FILE --partition 2026-02\n"
    )
    ads = lines((project / "out.jsonl").read_text())
    assert ads[0] == {
        "id": "2026-02-0",
        "partition": "2026-02",
        "text": "Shop 2-0 wants tiling by the loom in town 0.",
        "label": [],
    }
    back = [labelled(ad) for ad in ads[:3]] + [ads[3], ads[4] | {"label": None}]
    said = command("annotate", "import", "tiny", write(project / "back.jsonl", back))
    kept = LabelFiles(project / ".skillsengine" / "store", "tiny").current("2026-02")
    assert kept is not None and said.code == 0, said.err
    assert said.out == (
        "2026-02: 4 ads newly labelled, 0 changed, 0 as before, 1 without labels left out; people have labelled 4 of its ads "
        f"by now\nkept in {kept.place}\n"
        "its scores are to be made again: skillsengine backfill tiny --from 2026-02 --to 2026-02\n"
    )
    said = command("annotate", "import", "tiny", "back.jsonl")
    assert said.out.splitlines()[1] == "nothing is new, so nothing is scored again"

    said = command("annotate", "import", "tiny", write(project / "more.jsonl", [labelled(ads[3]), labelled(ads[5])]))
    assert said.out.startswith(
        "2026-02: 1 ads newly labelled, 1 changed, 0 as before; people have labelled 5 of its ads"
    )
    said = command("annotate", "export", "tiny", "--no-proposals", "--partition", "2026-02")
    assert [ad["id"] for ad in lines(said.out)] == ["2026-02-4", "2026-02-6", "2026-02-7"], "those that are left"
    said = command("annotate", "export", "tiny", "--labelled", "--partition", "2026-02", "--rows", "2")
    assert said.err.startswith("2 of 5 ads with labels in 2026-02\n")
    assert all(ad["label"] == labelled(ad)["label"] for ad in lines(said.out))


def test_the_newest_partition_is_the_default(command: Command, project: Path) -> None:
    said = command("annotate", "export", "tiny", "--no-proposals", "--rows", "1")
    [ad] = lines(said.out)
    assert ad["partition"] == "2026-03"
    del ad["partition"]
    said = command("annotate", "import", "tiny", write(project / "back.jsonl", [labelled(ad)]))
    assert said.out.startswith("2026-03: 1 ads newly labelled")


def test_wrong_lines_are_told_in_order_and_nothing_is_taken(command: Command, project: Path) -> None:
    ads = lines(command("annotate", "export", "tiny", "--no-proposals").out)
    wrong = [labelled(ads[0]), ads[1] | {"text": "Shops", "id": "x"}, ads[2] | {"label": [[0, 99]]}, labelled(ads[0])]
    said = command("annotate", "import", "tiny", write(project / "back.jsonl", wrong))
    assert (said.code, said.out) == (1, "")
    assert said.err == (
        "error: back.jsonl: 3 of 4 lines are wrong, and nothing was imported.\n"
        "  back.jsonl:2: there is no ad `x` in 2026-03, and none has its text. Import into the partition that was exported "
        "(--partition), with texts as they were.\n"
        "  back.jsonl:3: item 1 of `label` is `[0, 99]`, and the text has 45 characters. They are counted from 0, and the end "
        "is the first one behind the label.\n"
        "  back.jsonl:4: the ad `2026-03-0` stands in line 1 already. Take one of the two out.\n"
    )
    assert LabelFiles(project / ".skillsengine" / "store", "tiny").current("2026-03") is None


def test_what_nobody_has_looked_at_is_not_taken_for_gold(command: Command, project: Path) -> None:
    said = command("annotate", "export", "tiny", "--no-proposals", "-o", "out.jsonl")
    said = command("annotate", "import", "tiny", "out.jsonl")
    assert said.err == (
        "error: out.jsonl: nobody has changed a label: each of the 8 ads has exactly what was proposed, or none where nothing "
        "was. Scores on them would say that the model agrees with itself. Have somebody look at them; if somebody has, and all "
        "is right, add --as-proposed.\n"
    )
    said = command("annotate", "import", "tiny", "out.jsonl", "--as-proposed")
    assert said.out.startswith("2026-03: 8 ads newly labelled")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("export", "tiny", "--partition", "2026-01", "--no-proposals"),
            "all ads of 2026-01 that may be scored have labels. Add --labelled to export them with their labels, to be "
            "corrected, or take another partition.",
        ),
        (
            ("export", "tiny", "--labelled"),
            "no ad of 2026-03 that may be scored has labels. Leave --labelled out to export those without.",
        ),
        (
            ("export", "tiny", "--labelled", "--version", "3"),
            "--version names who proposes, and with --labelled nobody does: the ads come with their labels.",
        ),
        (
            ("export", "tiny"),
            "tiny has no version yet that could propose skills. Run the experiment first, or export without proposals: "
            "--no-proposals.",
        ),
        (
            ("export", "tiny", "--no-proposals", "-o", "gone/out.jsonl"),
            "gone/out.jsonl: cannot be written (No such file or directory). Name a file in a folder that is there.",
        ),
        (
            ("import", "tiny", "back.csv"),
            "back.csv: labels come back as JSON lines (.jsonl) or as a JSON list (.json). Name such a file.",
        ),
        (
            ("import", "tiny", "gone.jsonl"),
            "gone.jsonl: cannot be read (No such file or directory). Name the file that the labelling tool wrote.",
        ),
        (
            ("import", "tiny", "two.jsonl"),
            "two.jsonl holds ads of 2026-02, 2026-03. Import one partition at a time: divide the file by the field "
            "`partition`.",
        ),
        (
            ("import", "tiny", "open.jsonl"),
            "open.jsonl: none of its 1 lines has labels: a list in `label`, empty for an ad that asks for no skill. Is it "
            "what the labelling tool has exported?",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_told(command: Command, project: Path, words: tuple[str, ...], told: str) -> None:
    two = [{"text": "a", "label": [], "partition": key} for key in ("2026-03", "2026-02")]
    write(project / "two.jsonl", two)
    write(project / "open.jsonl", [{"text": "a"}])
    said = command("annotate", *words)
    assert (said.code, said.err) == (1, f"error: {told}\n")
