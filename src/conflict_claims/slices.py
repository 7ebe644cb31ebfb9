"""Kinds of sentences that a model may be better or worse at: from what a file says of a sentence, and from its text."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from conflict_claims.corpus.records import Sentence
from conflict_claims.metrics import Array

REGIONS = {
    "Middle East": (
        "Syria|Iraq|Turkey|Yemen|Leban|Israel|Gaza|Palestin|West Bank|Jordan|Saudi|Kuwait|Iran|Bahrain|Qatar|"
        "Oman|Emirates|Kobani|Mosul|Raqqa|Aleppo|Damascus|Baghdad|Middle East|Gulf|Kurdi|Coalition"
    ),
    "Europe": (
        "Ukrain|Russia|Chechnya|Ingush|Dagestan|Donbas|Crimea|Balkan|Bosnia|Kosovo|Serbia|Croatia|Yugoslav|"
        "Macedonia|Northern Ireland|UK|United Kingdom|Britain|London|France|Germany|Spain|Greece|Cyprus|"
        "Moldova|Belgium|Netherlands|The Hague|Poland|Ireland|Europe|EU|NATO|Belarus|Transnistria|Corsica|"
        "Basque|Italy|Albania|Romania|Hungary|Sweden|Norway|Austria|Finland"
    ),
    "Caucasus and Central Asia": (
        "Georgia|Abkhazia|Ossetia|Armenia|Azerbaijan|Karabakh|Caucasus|Tajik|Kyrgyz|Uzbek|Kazakh|Turkmen|Central Asia"
    ),
    "South Asia": (
        "Afghan|Pakistan|India|Kashmir|Sri Lanka|Nepal|Manipur|Assam|Chhattisgarh|Uttar Pradesh|Bangladesh|"
        "Bhutan|Maldives|South Asia"
    ),
    "East and South-East Asia": (
        "Myanmar|Burma|Thai|Philippin|Indonesia|Papua|Timor|Cambodia|Vietnam|Laos|Korea|China|Chinese|Tibet|"
        "Xinjiang|Taiwan|Japan|Hong Kong|Malaysia|Singapore|East Asia|Mindanao|Bougainville|Solomon|Fiji"
    ),
    "North Africa": "Libya|Egypt|Sinai|Tunisia|Algeria|Morocco|Western Sahara|Tripoli|Benghazi|North Africa",
    "Sub-Saharan Africa": (
        "Sudan|Darfur|Somali|Ethiopia|Tigray|Eritrea|Kenya|Uganda|Rwanda|Burundi|Congo|Ituri|Kivu|"
        "Central African|Cameroon|Chad|Niger|Nigeria|Mali|Burkina|Sahel|Ivory Coast|Ivoire|Liberia|"
        "Sierra Leone|Guinea|Senegal|Gambia|Ghana|Togo|Benin|Mozambique|Cabo Delgado|Angola|Zimbabwe|Zambia|"
        "South Africa|Namibia|Lesotho|Malawi|Zaire|Rhodesia|Ogaden|Tanzania|Madagascar|Mauritania|Djibouti|"
        "Africa"
    ),
    "Latin America": (
        "Colombia|Peru|Salvador|Guatemala|Honduras|Nicaragua|Mexico|Venezuela|Ecuador|Bolivia|Chile|Argentin|"
        "Brazil|Haiti|Cuba|Panama|Paraguay|Uruguay|Costa Rica|Dominican|Latin America|Central America|Andes|"
        "Falkland"
    ),
    "North America": "United States|U\\.S\\.|US\\b|USA|Washington|Pentagon|Canada|New York",
}
"""Names in the column `setting`; the earliest one that occurs decides."""
_REGION = {name: re.compile(rf"\b(?:{pattern})") for name, pattern in REGIONS.items()}
_YEAR = re.compile(r"\b(1[89]\d\d|20\d\d)s?\b")
_QUOTATION = re.compile("[\"“”«»]|(?<![\\w])['‘](?=\\w)|``|''")
_NEGATION = re.compile(
    r"\b(?:no|not|never|none|nobody|nothing|neither|nor|without|cannot|den(?:y|ies|ied|ying|ial))\b|n['’]t\b", re.I
)
LENGTHS = ((10, "up to 10 words"), (20, "11 to 20 words"), (35, "21 to 35 words"))


def region(setting: str) -> str:
    """The part of the world that a setting names first; empty where it names none."""
    found = [(match.start(), name) for name, pattern in _REGION.items() if (match := pattern.search(setting))]
    return min(found)[1] if found else ""


def decade(setting: str) -> str:
    """The decade of the last year that a setting names; empty where it names none."""
    years = _YEAR.findall(setting)
    return f"{years[-1][:3]}0s" if years else ""


def length(text: str) -> str:
    """Words, in four classes."""
    words = len(text.split())
    return next((name for most, name in LENGTHS if words <= most), "more than 35 words")


def capitals(text: str) -> str:
    """How much stands in capital letters: plain prose has few, a headline more, old agency copy nothing else."""
    letters = [c for c in text if c.isalpha()]
    share = sum(c.isupper() for c in letters) / max(1, len(letters))
    if share > 0.6:
        return "all or nearly all"
    words = [word for word in text.split() if word[0].isalpha()]
    return "most words begin with one" if sum(w[0].isupper() for w in words) > len(words) / 2 else "few"


def _yes(pattern: "re.Pattern[str]") -> Callable[[Sentence], str]:
    return lambda sentence: "yes" if pattern.search(sentence.text) else "no"


KINDS: dict[str, Callable[[Sentence], str]] = {
    "genre or source": lambda s: s.genre,
    "region": lambda s: region(s.setting),
    "decade": lambda s: decade(s.setting),
    "length": lambda s: length(s.text),
    "capitals": lambda s: capitals(s.text),
    "quotation marks": _yes(_QUOTATION),
    "negation": _yes(_NEGATION),
    "number of labels": lambda s: str(len(s.labels)) if len(s.labels) < 3 else "3 or more",
}


def slices(sentences: Sequence[Sentence]) -> list[tuple[str, str, Array]]:
    """Every slice that has a sentence, as (kind, value, rows as a mask of shape (n,)).

    A kind that tells nothing apart (one value, or none known) is left out.
    """
    found = []
    for kind, value_of in KINDS.items():
        values = np.array([value_of(s) for s in sentences], dtype=object)
        known = sorted(set(values) - {""})
        if len(known) + ("" in values) > 1:
            found += [(kind, name, np.asarray(values == name)) for name in known]
    return found
