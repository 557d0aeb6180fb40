"""Reading a posting by rule: which line of a document belongs to which position and field.

heads      what a head or label announces: 담당업무, "Nice to have", 접수기간
tables     tables as positions (a row or a column each), or as labels and values
events     a document as one run of heads, titles, labels and lines
assembly   the run as positions and what is common to them
titles     what looks like the name of a job
facts      company, career, employment, deadline where no label names them
"""

from .assembly import read_posting

__all__ = ["read_posting"]
