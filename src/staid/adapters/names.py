"""Lists of given names from Faker's own data: no model, nothing to download (the extra `names`)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from importlib import import_module
from typing import cast

from staid.domain.errors.adapters import ExtraMissing
from staid.tracing.names import ListedNames

LANGUAGES = (
    *("bg_BG", "cs_CZ", "da_DK", "de_AT", "de_CH", "de_DE", "el_GR", "en_GB", "en_IE", "en_IN"),
    *("en_KE", "en_NG", "en_NZ", "en_PK", "en_US", "es_AR", "es_CL", "es_CO", "es_ES", "es_MX"),
    *("et_EE", "fi_FI", "fr_CA", "fr_FR", "ga_IE", "ha_NG", "hr_HR", "hu_HU", "id_ID", "ig_NG"),
    *("is_IS", "it_IT", "lt_LT", "lv_LV", "mk_MK", "nl_BE", "nl_NL", "no_NO", "pl_PL", "pt_BR"),
    *("pt_PT", "ro_RO", "ru_RU", "sk_SK", "sl_SI", "sv_SE", "tr_TR", "tw_GH", "uk_UA", "uz_UZ"),
    *("vi_VN", "yo_NG", "zu_ZA"),
)
"""Every language of Faker whose names are written with capitals."""
_LISTS = ("first_names", "first_names_male", "first_names_female")


def listed_names(languages: Sequence[str] = LANGUAGES) -> ListedNames:
    """Return a finder of names by lists; raise `ExtraMissing` where Faker is not installed."""
    try:
        import_module("faker")
    except ImportError as error:
        raise ExtraMissing(extra="names") from error
    given: set[str] = set()
    for language in languages:
        lists = import_module(f"faker.providers.person.{language}").Provider
        for name in _LISTS:
            names: object = getattr(lists, name, ())
            # Some languages put their list of all names together when an instance is asked.
            if isinstance(names, Collection):
                given.update(cast("Collection[str]", names))
    return ListedNames(given)
