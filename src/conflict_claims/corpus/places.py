"""Where and when a story plays: from its setting."""

import re

REGIONS = {
    "Middle East and North Africa": (
        "Syria|Iraq|Yemen|Leban|Israel|Gaza|West Bank|Palestin|Jordan|Iran|Kuwait|Turkey|Turkish|Cyprus|Egypt|Sinai|"
        "Libya|Tunisia|Algeria|Morocco|Western Sahara|Saudi|Bahrain|Oman|ISIL"
    ),
    "Sub-Saharan Africa": (
        "Nigeria|Niger|Mali|Burkina|Chad|Cameroon|Central African|Congo|Zaire|Goma|Masisi|Djugu|Burundi|Rwanda|Uganda|"
        "Sudan|Khartoum|Fasher|Geneina|Kordofan|Nasir|Yei|Ethiopia|Tigray|Gondar|Wellega|Ogaden|Eritrea|Somali|Hiiraan|"
        "Shabelle|Kenya|Mandera|Mozambique|Cabo Delgado|Angola|Namibia|Zambia|South Africa|Zimbabwe|Rhodesia|Liberia|"
        "Monrovia|Sierra Leone|Koidu|Ivory Coast|Guinea(?! )|Bamenda|Djibo|Marte|Dansadau|Ouham|Africa|Sahel"
    ),
    "Americas": (
        "Salvador|Guatemala|Nicaragua|Honduras|Panama|Colombia|Venezuela|Peru|Ecuador|Bolivia|Chile|Argentina|Mexico|"
        "Haiti|Latin America|Brazil|Paraguay|Canada"
    ),
    "South and Central Asia": (
        "Afghan|Pakistan|India(?!n Ocean)|Kashmir|Assam|Manipur|Chhattisgarh|Uttar|Bangladesh|Nepal|Sri Lanka|Tajik|"
        "Kyrgyz|Kazakh|Uzbek|South Asia"
    ),
    "East and South-East Asia, Oceania": (
        "Myanmar|Burma|Thailand|Cambodia|Vietnam|Philippines|Indonesia|Timor|Papua|China|Hong Kong|Korea|Malaysia|"
        "Southeast Asia|Australia"
    ),
    "Europe and the Caucasus": (
        "Ukrain|Russia|Chechnya|Georgia|Karabakh|Armenia|Azerbaijan|Caucasus|Belarus|Moldova|Transnistria|Bosnia|"
        "Croatia|Serbia|Kosovo|Macedonia|Albania|Yugoslavia|Northern Ireland|Spain|Basque|France|Belgium|"
        "Germany|Poland|Romania|NATO|Netherlands|Europe"
    ),
    "Elsewhere, several or none": "",
}
"""A setting belongs to the region whose name occurs first in it."""


def region_of(setting: str) -> str:
    """The region of a setting, by the earliest place name in it."""
    found = [
        (match.start(), region)
        for region, names in REGIONS.items()
        if names and (match := re.search(rf"\b(?:{names})", setting))
    ]
    return min(found)[1] if found else list(REGIONS)[-1]


def decade_of(setting: str) -> str:
    """The decade of the first year in a setting, as `1980s`; `undated` without one."""
    year = re.search(r"\b(19|20)\d\d", setting)
    return f"{year[0][:3]}0s" if year else "undated"
