"""Release versions: parse, compare, order."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from packaging.version import InvalidVersion, Version

from upgrader.errors import InvalidVersionError

Release = tuple[int, int, int]


@dataclass(frozen=True, slots=True, order=True)
class ReleaseVersion:
    """A version of the form MAJOR.MINOR.PATCH, with an optional pre-release (`1.22.0rc1`).

    Ordered as `packaging` orders versions. `str()` is the normal form.
    """

    _order: Version = field(repr=False)
    text: str = field(compare=False)
    release: Release = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> ReleaseVersion:
        """Read a release version.

        Raises:
            InvalidVersionError: three numbers are not there, or an epoch, a post, dev or local part is.
        """
        return _parse(text)

    def __str__(self) -> str:
        return self.text

    @property
    def folder(self) -> str:
        """The package name that this version's command files stand in: `v1_22_0`."""
        return "v" + self.text.replace(".", "_")


@dataclass(frozen=True, slots=True)
class ApplicationVersion:
    """The version of the running application: which commands it covers.

    Anything that `packaging` reads with three numbers is allowed here (`1.22.0.dev5+g1a2b3c4` too); only
    MAJOR.MINOR.PATCH is compared.
    """

    text: str
    release: Release

    @classmethod
    def parse(cls, text: str) -> ApplicationVersion:
        """Read an application version.

        Raises:
            InvalidVersionError: it is no version, or has not three numbers.
        """
        version = _read(text)
        return cls(text=str(version), release=_release(version, text))

    @classmethod
    def of(cls, version: ReleaseVersion) -> ApplicationVersion:
        """Take a release version as the application's."""
        return cls(text=version.text, release=version.release)

    def covers(self, version: ReleaseVersion) -> bool:
        """Tell whether commands of `version` are due with this application."""
        return version.release <= self.release

    def __str__(self) -> str:
        return self.text


@lru_cache(maxsize=4096)
def _parse(text: str) -> ReleaseVersion:
    version = _read(text)
    release = _release(version, text)
    if version.epoch or version.post is not None or version.dev is not None or version.local:
        raise InvalidVersionError(
            f"{text!r} is not a release version: an epoch, a post, dev or local part is not allowed",
            hint='write MAJOR.MINOR.PATCH, for example "1.22.0", or a pre-release like "1.22.0rc1"',
        )
    return ReleaseVersion(version, str(version), release)


def _read(text: str) -> Version:
    try:
        return Version(text)
    except (InvalidVersion, TypeError) as error:
        raise InvalidVersionError(
            f"{text!r} is not a version", hint='write MAJOR.MINOR.PATCH, for example "1.22.0"'
        ) from error


def _release(version: Version, text: str) -> Release:
    if len(version.release) != 3:
        raise InvalidVersionError(
            f"{text!r} is not of the form MAJOR.MINOR.PATCH",
            hint='write all three numbers, for example "1.22.0"',
        )
    major, minor, patch = version.release
    return (major, minor, patch)
