"""Packages that only some uses of the service need: the extras of pyproject.toml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from tools.core.errors import SetupError


@dataclass(eq=False, repr=False, kw_only=True)
class MissingExtraError(SetupError):
    """A package that this needs is not installed."""

    extra: str = ""
    """The extra of pyproject.toml that has it."""
    missing: Sequence[str] = ()
    """The modules that are not there."""


def require_extra(extra: str, *modules: str, purpose: str, otherwise: str = "") -> None:
    """Checks that the modules of an extra are installed, without importing them.

    Args:
        extra: its name in pyproject.toml.
        modules: what is imported of it.
        purpose: what needs them, as the subject of a sentence.
        otherwise: what the reader can do instead of installing it.

    Raises:
        MissingExtraError: one is not installed.
    """
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        instead = f", or {otherwise}" if otherwise else ""
        raise MissingExtraError(
            f"{purpose} needs the extra `{extra}`, and of it {', '.join(missing)} is not installed. Run "
            f"`pip install '.[{extra}]'` in the checkout{instead}.",
            extra=extra,
            missing=missing,
        )
