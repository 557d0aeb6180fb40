"""A comparison to look at: HTML that opens from disk, and Markdown for a pull request."""

from evals.report.markdown import markdown
from evals.report.page import html

__all__ = ["html", "markdown"]
