"""The worked examples shown to the untuned base (4-shot). Written for this project; they stand in no data set."""

from __future__ import annotations

from typing import TypedDict


class ShotData(TypedDict):
    """One worked example as plain data."""

    text: str
    skills: tuple[str, ...]


DEFAULT_SHOTS: tuple[ShotData, ...] = (
    {
        "text": "Riverside Opticians in Ghent wants a workshop hand. Lens edging, frame repair and stock control in Excel fill "
        "the day; French is needed at the counter. Four days a week, bus stop at the door.",
        "skills": ("Lens edging", "frame repair", "stock control", "Excel", "French"),
    },
    {
        "text": "Night shift, calm team, paid breaks. Our bakery hub in Leeds starts new people every Monday. Pay is weekly, "
        "parking is free, and you choose your two days off.",
        "skills": (),
    },
    {
        "text": "Join a small studio as a motion designer. You bring solid After Effects, some Cinema 4D and a feeling for "
        "typography. Storyboarding with clients is part of the job. Remote within two time zones.",
        "skills": ("After Effects", "Cinema 4D", "typography", "Storyboarding"),
    },
    {
        "text": "The port authority seeks a boiler attendant with a steam ticket. Daily water testing, burner maintenance, "
        "permit-to-work procedures. Cheerful people preferred; canteen on site.",
        "skills": ("steam ticket", "water testing", "burner maintenance", "permit-to-work procedures"),
    },
)
