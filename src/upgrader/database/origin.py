"""Where in an author's code a statement was issued; found by walking the stack, for runs that are watched."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import FrameType

_PACKAGE = Path(__file__).resolve().parent.parent
_EXAMPLE = _PACKAGE / "demo"  # the commands of the demo are an author's like any other
_STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib")).resolve()
_INSTALLED = ("site-packages", "dist-packages")
# The runner's function that calls a command's method: what is further out is nobody's command.
_BOUNDARY = "call_author"


@dataclass(frozen=True, slots=True)
class Origin:
    """A line of an author's code.

    Attributes:
        file: absolute.
        line: from 1.
        is_helped: whether a helper of the product (`create_index_concurrently`) sent the statement for it.
    """

    file: str
    line: int
    is_helped: bool = False


class _Owner(Enum):
    AUTHOR = "author"
    PRODUCT = "product"
    LIBRARY = "library"


def is_author_file(name: str) -> bool:
    """Tell whether a file of a traceback or a stack is neither the product's nor a library's."""
    return _owner(name) is _Owner.AUTHOR


def find_origin() -> Origin | None:
    """Give the innermost line of an author's code that the caller was called from; None where there is none.

    Commands may be installed as a package and look like a library then: it is the command's own method.
    """
    is_helped, has_left_product, method = False, False, None
    for frame in _outwards(sys._getframe(1)):
        owner = _owner(frame.f_code.co_filename)
        if owner is _Owner.AUTHOR:
            return Origin(frame.f_code.co_filename, frame.f_lineno, is_helped)
        if owner is _Owner.LIBRARY:
            has_left_product, method = True, frame
        elif frame.f_code.co_name == _BOUNDARY:
            break
        elif has_left_product:
            is_helped = True
    else:
        return None
    return Origin(method.f_code.co_filename, method.f_lineno, is_helped) if method is not None else None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


@lru_cache(maxsize=4096)
def _owner(name: str) -> _Owner:
    if name.startswith("<"):
        return _Owner.LIBRARY
    path = Path(name)
    if path.is_relative_to(_PACKAGE):
        return _Owner.AUTHOR if path.is_relative_to(_EXAMPLE) else _Owner.PRODUCT
    if path.is_relative_to(_STANDARD_LIBRARY) or any(part in path.parts for part in _INSTALLED):
        return _Owner.LIBRARY
    return _Owner.AUTHOR
