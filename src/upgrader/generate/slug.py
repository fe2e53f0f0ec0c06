"""The names of a generated command: from what an author typed to a file, a module and a class."""

from __future__ import annotations

import builtins
import keyword
import re
import unicodedata
from dataclasses import dataclass

from upgrader.errors import OperatorError

LENGTH_LIMIT = 80
_EXAMPLE = "for example `--name add-workspace-id-to-invoice`"
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_GAP = re.compile(r"[\W_]+")

# What the templates import; a class of that name would hide it.
_TAKEN = frozenset({"Connection", "DataMigrationContext", "IrreversibleError", "WorkspaceContext"})


@dataclass(frozen=True, slots=True)
class Slug:
    """A name in small letters, parted by `_`: an identifier that is no keyword."""

    text: str

    @classmethod
    def of(cls, name: str) -> Slug:
        """Read a name in any usual style: `add-x`, `Add x`, `AddX`, `add_x`; accents are taken off.

        Raises:
            OperatorError: no identifier comes of it, or it is too long.
        """
        text = "_".join(word for word in _GAP.split(_HUMP.sub("_", _plain(name)).lower()) if word)
        slug = cls(text)
        fault = _fault(name, slug)
        if fault:
            raise OperatorError(
                fault, hint=f"begin with a letter and use letters, digits and hyphens, {_EXAMPLE}"
            )
        return slug

    @property
    def class_name(self) -> str:
        """The name in CamelCase."""
        return "".join(word[:1].upper() + word[1:] for word in self.text.split("_"))

    @property
    def sentence(self) -> str:
        """The name as the first line of a docstring."""
        words = self.text.replace("_", " ")
        return f"{words[:1].upper()}{words[1:]}."


def _plain(name: str) -> str:
    """Take accents off: `Größe` becomes `Grosse`; what has no Latin form stays and is refused later."""
    decomposed = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _fault(name: str, slug: Slug) -> str | None:
    if not slug.text:
        return f"the name {name!r} has no letters"
    if not slug.text.isascii():
        return f"the name {name!r} has letters that a file name should not have"
    if not slug.text.isidentifier():
        return f"the name {name!r} begins with a digit"
    if len(slug.text) > LENGTH_LIMIT:
        return f"the name is {len(slug.text)} characters long; {LENGTH_LIMIT} is the most"
    if keyword.iskeyword(slug.text) or keyword.iskeyword(slug.class_name):
        return f"the name {name!r} is a word of the Python language"
    if slug.class_name in _TAKEN or hasattr(builtins, slug.class_name):
        return f"the name {name!r} would hide {slug.class_name}, which means something else"
    return None
