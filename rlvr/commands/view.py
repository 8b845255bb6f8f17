"""`rlvr view`: browse the rollouts of runs in a page served on localhost only."""

from __future__ import annotations

import argparse
import os
import socket
import threading
import webbrowser
from collections.abc import Sequence

from rlvr.commands.exit_codes import failed
from rlvr.types import ConfigError, RlvrError

PORT = 8765


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C; 0, or 2 if a folder has nothing to show or the port is taken."""
    given = _parser().parse_args(list(arguments))
    try:
        _serve(given.runs, given.port, browser=not given.no_browser)
    except RlvrError as error:
        return failed(error)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rlvr view",
        description="Show the rollouts of runs in the browser: step, group, rollout, verdict, token. The "
        "runs are only read, and the page is served to this machine only.",
    )
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="folder of a run, of a recipe's run, or of a stage"
    )
    parser.add_argument("--port", type=int, help=f"default: {PORT}, or any free port if that is in use")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    return parser


def _serve(runs: Sequence[str], port: int | None, browser: bool) -> None:
    from rlvr.viewer.library import Library

    with Library(runs) as library, _listen(port) as listening:
        import uvicorn

        from rlvr.viewer.server import create_app

        address = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        print(f"rlvr: the rollouts are at {address} (Ctrl-C stops the server)", flush=True)
        if browser and _has_screen():
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        config = uvicorn.Config(create_app(library), log_level="warning", lifespan="off", server_header=False)
        try:
            uvicorn.Server(config).run(sockets=[listening])
        except KeyboardInterrupt:
            print()


def _has_screen() -> bool:
    """Whether there is a display. Without one, the default browser may be one that fills the terminal."""
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _listen(port: int | None) -> socket.socket:
    """A socket on localhost. Raises ConfigError if the port that was asked for cannot be used."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", PORT if port is None else port))
    except (OSError, OverflowError) as error:
        if port is not None:
            listening.close()
            raise ConfigError(f"--port {port}: {error}; leave it out to get a free one") from None
        listening.bind(("127.0.0.1", 0))
    listening.listen()  # a browser may connect at once, and waits until the server answers
    return listening
