"""Start the language host: print the port, answer the engine, end quietly with it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from concurrent import futures
from pathlib import Path
from types import FrameType

from mlops.plugins.language_host.stubs import skip_sdk

__all__ = ["main"]

LONGEST_MESSAGE = 400 * 1024 * 1024
"""What the engine allows, in bytes."""

EXECUTOR = "MLOPS_LANGUAGE_EXECUTOR"
"""Names the SDK's script that sets up a program; the launcher beside `pulumi` sets it."""


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGINT, SIGTERM or the death of the engine, whichever comes first."""
    options = argparse.ArgumentParser(prog="pulumi-language-python")
    options.add_argument("engine", nargs="?", default="", help="address of the engine")
    options.add_argument("--tracing", default="", help="Zipkin-compatible endpoint, handed to the program")
    options.add_argument("--use-executor", default=os.environ.pop(EXECUTOR, ""), help="script that sets up a program")
    options.add_argument("--logtostderr", action="store_true", help="accepted, without effect")
    options.add_argument("-v", default="", help="accepted, without effect")
    given = options.parse_args(argv)
    if not Path(given.use_executor).is_file():
        sys.stderr.write(f"missing executor {given.use_executor or 'pulumi-language-python-exec'}\n")
        return 1

    ended = threading.Event()

    def end(_signal: int, _frame: FrameType | None) -> None:
        ended.set()

    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGTERM, end)
    _serve(given, ended)
    return 0


def _serve(given: argparse.Namespace, ended: threading.Event) -> None:
    skip_sdk()
    # Imported late: everything that takes time happens after the signal handlers stand.
    import grpc
    from pulumi.runtime.proto import language_pb2_grpc

    from mlops.plugins.language_host.server import LanguageHost

    limits = [("grpc.max_receive_message_length", LONGEST_MESSAGE), ("grpc.max_send_message_length", LONGEST_MESSAGE)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=16), options=[*limits, ("grpc.so_reuseport", 0)])
    host = LanguageHost(Path(given.use_executor), given.engine, given.tracing)
    language_pb2_grpc.add_LanguageRuntimeServicer_to_server(host, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)  # noqa: T201 (the engine reads the port from stdout)
    engine = os.getppid()
    while not ended.wait(timeout=1):
        # An engine that was killed cannot say goodbye; without it nobody would ever end this process.
        if os.getppid() != engine:
            break
    server.stop(grace=None).wait()


if __name__ == "__main__":
    sys.exit(main())
