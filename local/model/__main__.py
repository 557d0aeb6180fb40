"""Runs the offline model: `python -m local.model --port 0`.

Prints one line, `listening on http://127.0.0.1:PORT/v1`, when it accepts connections. What is in
CHECKERBOARD_OFFLINE_SECRET opens its controls (`/offline/…`); without it they are closed.
"""

from __future__ import annotations

import argparse
import os
import sys

# The server is imported by `main` alone: the processes that embed import this module too, and nothing else.

BEHAVIOUR_VARIABLE = "CHECKERBOARD_OFFLINE_BEHAVIOUR"
EMBEDDINGS_VARIABLE = "CHECKERBOARD_OFFLINE_EMBEDDINGS"
"""The service's setting: what is loaded at the start. Asked for, both answer."""


def main(arguments: list[str] | None = None) -> None:
    """Serves until SIGINT or SIGTERM.

    Exits with status 2 when an argument or the fault config is not valid.
    """
    from pydantic import ValidationError  # noqa: PLC0415

    from local.model import SECRET_VARIABLE, rules  # noqa: PLC0415
    from local.model.faults import FaultConfig  # noqa: PLC0415
    from local.model.server import Server, create_app  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m local.model", description="Runs the offline model.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on; 0: a free one")
    parser.add_argument(
        "--behaviour",
        default=os.environ.get(BEHAVIOUR_VARIABLE, "{}"),
        help=f"JSON as in PUT /offline/behaviour (default: ${BEHAVIOUR_VARIABLE})",
    )
    options = parser.parse_args(arguments)
    try:
        config = FaultConfig.model_validate_json(options.behaviour)
    except ValidationError as error:
        parser.error(f"--behaviour: {error}")
    secret = os.environ.get(SECRET_VARIABLE) or None
    morphemes = os.environ.get(EMBEDDINGS_VARIABLE, "").strip() == "morphemes"
    app = create_app(rules, config, secret=secret, starts="morphemes" if morphemes else "e5")
    Server(app, options.host, options.port, _announce).run()


def _announce(url: str) -> None:
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
