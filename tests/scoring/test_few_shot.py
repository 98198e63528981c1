from __future__ import annotations

from skillsengine.scoring.few_shot import fill, preamble, stop_texts

TEMPLATE = "### Job Description: {text}\n### Skills:"


def test_the_prompt_is_blocks_of_prompt_and_answer_with_a_blank_line_between() -> None:
    shots = [("A welder.", ' ["TIG"]'), ("Free parking.", " []")]
    assert preamble(TEMPLATE, shots) + fill(TEMPLATE, "A {nurse}.") == (
        '### Job Description: A welder.\n### Skills: ["TIG"]\n'
        "\n"
        "### Job Description: Free parking.\n### Skills: []\n"
        "\n"
        "### Job Description: A {nurse}.\n### Skills:"
    )
    assert preamble(TEMPLATE, []) == ""


def test_the_answer_ends_where_the_base_goes_on_with_another_ad() -> None:
    assert stop_texts(TEMPLATE) == ("\n\n", "###", "\n### Job Description:")
    assert stop_texts("Ad: {text}\nSkills:") == ("\n\n", "###", "\nAd:")
    assert stop_texts("{text} ->") == ("\n\n", "###")
