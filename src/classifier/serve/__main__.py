"""Serves exported models over HTTP: pictures in, classes out.

$ python -m classifier.serve                                 # or: make serve; all of exports/
$ python -m classifier.serve exports/flowers --log answers.jsonl
$ python -m classifier.serve --champion flowers              # of MLflow; a new one is taken up
$ curl -F image=@rose.jpg http://127.0.0.1:8080/v1/models/flowers/classify

Only this machine can reach it. For others, name --host, and set CLASSIFIER_TOKEN: each client
sends that token.
"""

import argparse
import ipaddress
import logging
import os
import socket
import sys
from pathlib import Path

from classifier.serve.answer_log import AnswerLog
from classifier.serve.models import Models
from classifier.support.errors import InputError

try:
    import uvicorn

    from classifier.serve.api import create_api
    from classifier.serve.monitoring import Monitoring
    from classifier.serve.pictures import Bounds
    from classifier.serve.protocol import Protocol
except ModuleNotFoundError as error:
    sys.exit(f"serve: the package {error.name} is missing: make setup WITH=serve")

EXPORTS = Path("exports")  # of a checkout
TOKEN = "CLASSIFIER_TOKEN"
SHORTEST = 16  # characters of a token


def open_socket(host: str, port: int) -> socket.socket:
    """A socket that the server listens on.

    Raises:
        InputError: another server does, or there is no such address.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        # Named as TCP: asyncio sends without delay on such sockets alone.
        opened = socket.socket(family, kind, protocol)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
        opened.listen(1024)
    except OSError as error:
        raise InputError(
            f"{host}:{port} cannot be listened on ({error.strerror}): end the other server, or "
            "name another --port"
        ) from None
    return opened


def check_access(host: str, token: str | None) -> None:
    """Checks that a server that other machines can reach has a token.

    Raises:
        InputError: it has none, or one that is easily guessed.
    """
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if token is None and not local:
        raise InputError(f"--host {host} lets other machines in: set {TOKEN} to a long random text")
    if token is not None and len(token) < SHORTEST:
        raise InputError(f"{TOKEN} has fewer than {SHORTEST} characters: take a long random text")


def serve(arguments: argparse.Namespace) -> None:
    """Serves until SIGTERM or SIGINT; what was accepted before is answered.

    Raises:
        InputError: there is no model, or the server cannot listen.
    """
    token = os.environ.get(TOKEN) or None
    check_access(arguments.host, token)
    if arguments.queue < arguments.files:
        raise InputError("--queue must be at least --files: such a request would always be refused")
    folders = arguments.folders
    if not folders and not arguments.champion:
        folders = [EXPORTS]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is no folder: run 'dvc repro', or name exported folders")
    if arguments.log and not arguments.log.parent.is_dir():
        raise InputError(f"--log {arguments.log}: there is no folder {arguments.log.parent}")
    monitoring = Monitoring()
    models = Models(
        folders,
        arguments.champion,
        batch=arguments.batch,
        every=arguments.every,
        monitoring=monitoring,
    )
    with open_socket(arguments.host, arguments.port) as listening:
        models.take_folders()
        if not models.champion_names and not models.ready:
            raise InputError(f"no model in {', '.join(map(str, folders))}")
        api = create_api(
            models,
            bounds=Bounds(
                size=int(arguments.megabytes * 2**20),
                files=arguments.files,
                pixels=int(arguments.megapixels * 1e6),
                seconds=arguments.seconds,
            ),
            queue=arguments.queue,
            monitoring=monitoring,
            token=token,
            log=AnswerLog(arguments.log, monitoring.lost_lines.inc) if arguments.log else None,
            root=Path.cwd(),
        )
        Protocol.seconds = arguments.seconds
        config = uvicorn.Config(
            api,
            http=Protocol,
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(arguments.seconds) + 1,
        )
        host, port = listening.getsockname()[:2]
        print(f"The server is at http://{host}:{port} (Ctrl-C ends it)", flush=True)
        uvicorn.Server(config).run(sockets=[listening])


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m classifier.serve", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add("folders", nargs="*", type=Path, help="exported models, or folders of them (exports)")
    add("--champion", action="append", default=[], metavar="NAME", help="a model of MLflow")
    add("--host", default="127.0.0.1", help=f"others than this machine need {TOKEN} (127.0.0.1)")
    add("--port", type=int, default=8080, help="0: a free one (8080)")
    add("--log", type=Path, metavar="FILE", help="a line of JSON for each picture is added")
    add("--batch", type=positive, default=8, metavar="N", help="most pictures of a batch (8)")
    add("--queue", type=positive, default=128, metavar="N", help="most pictures that wait (128)")
    add("--files", type=positive, default=32, metavar="N", help="most pictures of a request (32)")
    add("--megabytes", type=float, default=32, metavar="N", help="most of a request (32)")
    add("--megapixels", type=float, default=40, metavar="N", help="most of a picture (40)")
    add("--seconds", type=float, default=30, metavar="S", help="most for an upload (30)")
    add("--every", type=float, default=5, metavar="S", help="between looks for new versions (5)")
    return parser.parse_args()


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def main() -> None:
    arguments = parse()
    logging.basicConfig(format="serve: %(message)s")
    logging.getLogger("classifier").setLevel(logging.INFO)
    try:
        serve(arguments)
    except InputError as error:
        print(f"serve: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:  # uvicorn raises it again after a clean end
        sys.exit(130)


if __name__ == "__main__":
    main()
