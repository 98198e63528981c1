"""Ads that are longer than what an adapter was trained on: asked in parts, as training splits them, and put together again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skillsengine.modeling.backend import Backend
from skillsengine.modeling.base import load_tokenizer
from skillsengine.modeling.errors import ModelError
from skillsengine.modeling.generate import Batch
from skillsengine.spec.schema import Base
from skillsengine.stages.asking import Asker
from skillsengine.stages.overlong import Fitter
from tests.stages.formatted import row
from tests.tiny import make_tiny_base

TEMPLATE = "Ad: {text}\nSkills:"
AD = "We need SQL and Java here. Lunch is free on Mondays, and tea too, all the year.\n- wound CARE\n- sql AND Excel, and Sql"


@dataclass
class Lister:
    """A model that lists the words of an ad that begin with a capital; of an ad with `!` it forgets to close the list."""

    tokenizer: Any
    context_length: int = 512
    asked: list[str] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)

    def generate(
        self,
        prompts: Sequence[list[int]],
        *,
        max_new_tokens: int,
        batch_size: int,
        on_batch: Callable[[Batch], None] | None = None,
        stop: Sequence[str] = (),
    ) -> list[str]:
        self.tokens += map(len, prompts)
        texts = [self.tokenizer.decode(prompt, skip_special_tokens=True) for prompt in prompts]
        ads = [text.rpartition("Ad: ")[2].removesuffix("\nSkills:") for text in texts]
        self.asked += ads
        said = [" " + json.dumps(re.findall(r"\b[A-Z]\w+", ad)) for ad in ads]
        return [text[:-1] if "!" in ad else text for text, ad in zip(said, ads, strict=True)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("asking")
    make_tiny_base(folder / "base")
    return load_tokenizer(Base(model="base"), bases=folder, allowed_roots=(folder,))


def asker(tokenizer: Any, max_length: int | None = None, **other: Any) -> tuple[Asker, Lister]:
    backend = Lister(tokenizer)
    as_backend: Backend = backend
    return Asker(as_backend, TEMPLATE, 20, 4, max_length=max_length, **other), backend


def test_an_ad_that_fits_is_asked_as_it_is(tokenizer: Any) -> None:
    whole, backend = asker(tokenizer, 512)
    told = whole.ask([AD, " Tea. "])
    assert [answer.raw for answer in told.answers] == [
        ' ["We", "SQL", "Java", "Lunch", "Mondays", "CARE", "AND", "Excel", "Sql"]',
        ' ["Tea"]',
    ]
    assert told.answers[0].skills[-1] == "Sql"
    assert (told.ads_split, told.parts, told.ads_cut) == (0, 0, 0)
    assert backend.asked == [AD, " Tea. "]
    # One token more than the longest prompt, and it is split.
    longest = backend.tokens[0] + 4  # the answer ` []` and the end of text
    assert asker(tokenizer, longest)[0].longest_prompt == backend.tokens[0]
    assert asker(tokenizer, longest)[0].ask([AD]).ads_split == 0
    assert asker(tokenizer, longest - 1)[0].ask([AD]).ads_split == 1


def test_the_skills_of_all_parts_are_the_ads(tokenizer: Any) -> None:
    parted, backend = asker(tokenizer, 63)
    told = parted.ask(["Tea.", AD, "Java."])
    assert backend.asked == [
        "Tea.",
        "We need SQL and Java here.",
        "Lunch is free on Mondays, and tea too, all the year.",
        "- wound CARE\n- sql AND Excel, and Sql",
        "Java.",
    ]
    tea, ad, java = told.answers
    assert (tea.skills, java.skills) == (["Tea"], ["Java"])
    assert ad.skills == ["We", "SQL", "Java", "Lunch", "Mondays", "CARE", "AND", "Excel"]  # `Sql` counts as `SQL`
    assert ad.raw == (
        '--- part 1 of 3 ---\n ["We", "SQL", "Java"]\n--- part 2 of 3 ---\n ["Lunch", "Mondays"]\n'
        '--- part 3 of 3 ---\n ["CARE", "AND", "Excel", "Sql"]'
    )
    assert ad.parsed
    assert (told.ads_split, told.parts, told.ads_cut) == (1, 3, 0)


def test_an_answer_is_parsed_if_those_of_all_parts_are(tokenizer: Any) -> None:
    told = asker(tokenizer, 63)[0].ask([AD.replace("year.", "year!")])
    assert told.parts == 3 and not told.answers[0].parsed
    assert told.answers[0].skills[3:5] == ["Lunch", "Mondays"]


def test_a_sentence_that_is_too_long_by_itself_loses_its_end(tokenizer: Any) -> None:
    parted, backend = asker(tokenizer, 50)
    told = parted.ask(["Short One. Very" + " very" * 60 + " Late. Then Tea."])
    assert (told.ads_split, told.parts, told.ads_cut) == (1, 3, 1)
    assert told.answers[0].skills == ["Short", "One", "Very", "Then", "Tea"]
    assert max(backend.tokens) == parted.longest_prompt == 46
    alone = asker(tokenizer, 50)[0].ask(["Very" + " very" * 60])
    assert (alone.ads_split, alone.parts, alone.ads_cut) == (0, 0, 1)
    assert alone.answers[0].raw == ' ["Very"]'


def test_what_says_nothing_is_not_asked(tokenizer: Any) -> None:
    quiet, backend = asker(tokenizer, 50)
    told = quiet.ask(["...", "Tea and more tea, all the year. " + "- " * 60 + "\n"])
    assert backend.asked == ["Tea and more tea, all the year."]
    assert (told.answers[0].skills, told.answers[0].raw, told.answers[0].parsed) == ([], "", True)
    assert quiet.ask([]).answers == []


def test_without_a_trained_length_the_context_decides(tokenizer: Any) -> None:
    base, backend = asker(tokenizer, before="Ad: Tea\nSkills: []\n\n")
    assert base.longest_prompt == 492
    told = base.ask([AD * 8])
    assert told.ads_split == 1 and told.ads_cut == 0
    assert max(backend.tokens) <= 492
    assert all(len(text) > 200 for text in backend.asked[:-1])
    # What was trained on may be longer than what the context holds beside an answer.
    assert asker(tokenizer, 512)[0].longest_prompt == 492


def test_no_room_for_an_ad(tokenizer: Any) -> None:
    with pytest.raises(ModelError) as caught:
        Asker(Lister(tokenizer), TEMPLATE, 500, 4)
    assert str(caught.value) == (
        "evaluate.max_new_tokens: 500 leaves no room for an ad in the base's context of 512 tokens, of which the prompt around "
        "it takes 13. Lower it."
    )


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sampled_from(["tea", "and", "Then", "SQL.", "no!", "\n", "é", "(x)", "..."]), min_size=1, max_size=60),
    st.integers(30, 90),
)
def test_parts_are_those_of_training(tokenizer: Any, words: list[str], max_length: int) -> None:
    """An ad without skills, split by `tokens.overlong: split`, is trained on in the parts in which it is asked."""
    text = " ".join(words)
    parted, backend = asker(tokenizer, max_length)
    parted.ask([text])
    trained = Fitter(TEMPLATE, tokenizer, max_length, "split").fit(row(text, []))
    prompts = [each.input_ids[: each.labels.count(-100)] for each in trained]
    ads = [tokenizer.decode(ids, skip_special_tokens=True)[4:].removesuffix("\nSkills:") for ids in prompts]
    assert backend.asked == [ad for ad in ads if any(map(str.isalnum, ad))]


def test_an_ad_unlike_the_training_texts_is_asked_in_parts_like_them(tokenizer: Any) -> None:
    """The longest training text may be the only long one: what counts is how long they mostly are."""
    long = f"{AD}\nTea.\n{AD}"
    parted, backend = asker(tokenizer, 500, typical_length=63)
    assert (parted.longest_prompt, parted.longest_whole, parted.longest_part) == (492, 122, 59)
    told = parted.ask([long])
    assert (told.ads_split, told.parts, max(backend.tokens) <= 59) == (1, 6, True)
    assert told.answers == asker(tokenizer, 63)[0].ask([long]).answers
    # At most twice the median: as one piece.
    whole, backend = asker(tokenizer, 500, typical_length=80)
    assert whole.ask([AD]).ads_split == 0 and 76 < backend.tokens[0] <= whole.longest_whole == 156
    # Nothing longer than the longest is asked whole, whatever the median.
    assert asker(tokenizer, 100, typical_length=80)[0].longest_whole == 96


def test_a_sentence_longer_than_a_part_is_read_to_its_end(tokenizer: Any) -> None:
    parted, backend = asker(tokenizer, 400, typical_length=50)
    told = parted.ask(["Short One. Very" + " very" * 60 + " Late. Then Tea."])
    assert (told.ads_split, told.parts, told.ads_cut) == (1, 3, 0)
    assert told.answers[0].skills == ["Short", "One", "Very", "Late", "Then", "Tea"]
    assert max(backend.tokens) > parted.longest_whole
