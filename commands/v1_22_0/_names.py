"""How 1.22.0 compares the names of places. Used by this version alone, so it lives beside its commands."""

import unicodedata


def folded(name: str) -> str:
    """Reduce a name to its letters, without accents and case: `Yaoundé` and `Yaounde` become one."""
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(letter for letter in decomposed if letter.isalnum()).casefold()
