"""Words in columns' names that hint at what they hold. Hints only: what the values are counts for more.

In the languages of most job boards that we know of: English, German, French, Spanish, Italian, Portuguese, Dutch, and the
Scandinavian ones. Accents and case do not matter (`folded`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_COMPOUND = 5
"""Letters from which on a word also counts as the end of a longer one: `Kernkompetenzen`, `softskills`; not `date` in
`update`."""
_WORD = re.compile(r"[^\W\d_]+")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def folded(text: str) -> str:
    """In small letters, without accents: `Fähigkeiten`, composed or not, is `fahigkeiten`."""
    return _without_accents(text).casefold()


def _without_accents(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))


def name_parts(name: str) -> list[str]:
    """The words of a column's name, folded, and all of it in one: `jobDescription` -> job, description, jobdescription."""
    parts = [folded(part) for part in _WORD.findall(_HUMP.sub(" ", _without_accents(name)))]
    return [*parts, "".join(parts)]


def says(name: str, words: Iterable[str]) -> bool:
    """Whether a column's name holds one of the words of a table: `Job_Description` and `jobDescription` hold
    `description`."""
    parts = set(name_parts(name))
    return any(
        word in parts or (len(word) >= _COMPOUND and any(part.endswith(word) for part in parts)) for word in words
    )


def _table(*languages: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(folded(word) for words in languages for word in words.split()))


TEXT = _table(
    "description text ad body content posting jobdescription jobad vacancy advert fulltext jd",
    """anzeige anzeigentext stellentext beschreibung stellenanzeige stellenbeschreibung stellenausschreibung ausschreibung
    inhalt volltext""",
    "texte annonce offre",
    "descripción texto oferta anuncio descrizione testo annuncio descrição",
    "omschrijving beskrivning beskrivelse stilling tekst",
)
# Long texts that stand beside the ad: about the employer, or the frame of the page.
NO_TEXT = _table(
    "company employer about benefits boilerplate disclaimer eeo legal footer header organization organisation",
    "unternehmen unternehmens arbeitgeber firma firmen firmenprofil benefits",
    "entreprise employeur empresa azienda bedrijf företag virksomhed",
)
SKILLS = _table(
    "skills skill skillset skilllist competencies competences competence competency abilities",
    "fähigkeiten faehigkeiten kenntnisse kompetenzen fertigkeiten skillliste",
    "compétences compétence competencias habilidades competenze competências",
    "vaardigheden competenties kompetenser kompetencer færdigheder färdigheter ferdigheter kompetanse",
)
LABELS = _table(
    "labels label tags annotations annotation keywords technologies techstack stack schlagworte",
    "étiquettes etiquetas etichette",
)
# Often a list of skills, and as often a paragraph of the ad.
MAYBE_LABELS = _table(
    "gold target targets qualifications requirements requirement",
    "anforderungen qualifikationen profil exigences requisitos requisiti vereisten kvalifikationer",
)
# What often stands word for word in an ad, and is no skill.
NO_LABELS = _table(
    """location city town place country region state address company employer organization organisation title salary pay
    industry sector url link source language contract type kind name category department split benefits count level
    summary snippet excerpt header headline""",
    "ort stadt firma unternehmen arbeitgeber titel branche gehalt land",
    "lieu ville entreprise titre intitulé pays secteur",
    "ciudad empresa puesto título país titolo azienda città luogo bedrijf plaats",
)
ID = _table(
    "id uuid guid nr no number key ref reference identifier",
    "nummer referenz referenznummer kennung kennziffer identifiant référence referencia",
)
DATE = _table(
    "posted published date day created posting publication time timestamp when",
    "datum veröffentlicht erstellt eingestellt",
    "publié publiée fecha data publicado publicación pubblicato publicerad dato",
)
# Dates of something else than the ad's appearance.
LATER_DATE = _table(
    """expires expiry expired expiration deadline closing closes closed end until start valid updated modified changed
    scraped crawled fetched downloaded removed""",
    "ablaufdatum ablauf bewerbungsfrist frist bewerbungsschluss geändert aktualisiert eintrittsdatum",
    "limite clôture expiration fin vencimiento cierre scadenza encerramento sluitingsdatum",
)
