"""Packages that only some uses of the service need: the extras of pyproject.toml."""

from __future__ import annotations

from importlib.util import find_spec

from tools.core.errors import SetupError


class MissingExtraError(SetupError):
    """A package that this needs is not installed.

    Attributes:
        extra: the extra of pyproject.toml that has it.
    """

    def __init__(self, message: str, *, extra: str, missing: list[str]) -> None:
        super().__init__(message, extra=extra, missing=missing)
        self.extra = extra


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
