"""What is called drift: `drift`."""

from __future__ import annotations

from pydantic import Field

from skillsengine.spec.sections.fields import Section


class Drift(Section):
    """From where on a partition is said to have drifted from what a version was trained on. It is told, and stops nothing."""

    psi: float = Field(0.25, ge=0.0, le=100.0)
    """Population stability index of ad length, tokens per word and skills per ad: from 0.1 on a shift is usually called
    moderate, above 0.25 large. Here and below, what chance alone makes of as few ads is no drift."""
    js: float = Field(0.2, ge=0.0, le=1.0)
    """Jensen-Shannon distance (base 2) of the shares that the 50 most frequent skills of the training data, and all others
    together, have; 0 for the same shares, 1 where none is shared."""
    unseen_skills: float = Field(0.3, ge=0.0, le=1.0)
    """Share of the skills, counted ad by ad, that no training ad is labelled with."""
