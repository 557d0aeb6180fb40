"""What a process may know of our environment that reads what strangers wrote, or needs no key.

A PDF that takes over its reader finds no key, password or address there. The list says what passes, not
what is kept back, because nobody knows the names of all secrets.
"""

from __future__ import annotations

import os

ALLOWED = frozenset(
    {
        # Where programs, libraries and Python's packages are, and who runs them.
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "TMPDIR",
        "VIRTUAL_ENV",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "DYLD_FALLBACK_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONDONTWRITEBYTECODE",
        "PYTHONPYCACHEPREFIX",
        "PYTHONWARNINGS",
        "PYTHONUTF8",
        "PYTHONIOENCODING",
        "PYTHONHASHSEED",
        # Whom TLS trusts.
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        # How numbers are computed on this processor.
        "OMP_THREAD_LIMIT",
        "OMP_NUM_THREADS",
        "OPENBLAS_CORETYPE",
        "OPENBLAS_L2_SIZE",
        "OPENBLAS_NUM_THREADS",
        # How texts and times are written.
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
    }
)


def bare(**more: str) -> dict[str, str]:
    """Returns the environment for such a process: what is allowed of ours, and `more`."""
    return {name: value for name, value in os.environ.items() if name in ALLOWED} | more
