"""Reading a posting by rule: which line of a document belongs to which position and field.

labels     heads and labels (담당업무, "Nice to have", 접수기간), names of jobs, facts without a label
events     a document as one run of heads, titles, labels, lines and positions of tables
assembly   the run as positions and what is common to them
"""

from .assembly import read_posting

__all__ = ["read_posting"]
