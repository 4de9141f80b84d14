"""Start the plugin: `python -m mlops.plugins.kubernetes_provider <engine address>`; its first output is its port."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from concurrent import futures
from typing import NoReturn

from mlops.plugins.kubernetes_provider import lean

__all__ = ["main"]

_THREADS = 256
"""Calls served at once: most of them wait for objects, so many cost little."""
_LARGE = 400 * 1024 * 1024
_PARENT_CHECK = 1.0


def main(arguments: list[str] | None = None) -> int:
    """Serve until the engine ends us or is gone itself."""
    parent = os.getppid()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # first of all: a signal may come while we are still importing
        signal.signal(number, lambda *_: ended.set())
    lean.install()
    import grpc
    from pulumi.runtime.proto import provider_pb2_grpc

    from mlops.plugins.kubernetes_provider.engine import Engine
    from mlops.plugins.kubernetes_provider.journal import default_folder
    from mlops.plugins.kubernetes_provider.server import Servicer

    addresses = [argument for argument in arguments or sys.argv[1:] if not argument.startswith("-")]
    if not addresses:
        sys.stderr.write("usage: pulumi-resource-kubernetes <engine address>\n")
        return 2
    servicer = Servicer(Engine(addresses[0]), default_folder(), Engine)
    options = [("grpc.max_receive_message_length", _LARGE), ("grpc.max_send_message_length", _LARGE)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=_THREADS), options=options)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")

    server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    while not ended.wait(_PARENT_CHECK):
        if os.getppid() != parent:  # the engine was killed: keep the journal, it is what the next run continues from
            _leave(1)
    servicer.close()
    server.stop(0)
    sys.stdout.flush()
    return _leave(0)


def _leave(code: int) -> NoReturn:
    """End at once: threads may sit in requests that nobody waits for any more."""
    atexit._run_exitfuncs()  # noqa: SLF001 (removes the credentials that the Kubernetes client keeps in files)
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
