"""The command that answers over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skillsengine.cli.adapters import BatchSize, Device, Version
from skillsengine.cli.console import fail, out, settings_for
from skillsengine.pipeline.heavy import import_heavy
from skillsengine.serving.named import find
from skillsengine.serving.token import read_token


def add_to(app: typer.Typer) -> None:
    app.command()(serve)


def serve(
    reference: Version,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8090,
    batch_size: BatchSize = 8,
    max_concurrent: Annotated[
        int, typer.Option(min=1, metavar="N", help="Requests that may be open; others are told when to come again.")
    ] = 64,
    max_body: Annotated[int, typer.Option(min=1_000, metavar="BYTES", help="Largest request.")] = 1_000_000,
    timeout: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="That a request may take.")] = 60.0,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Clients must send the token in it (Authorization: Bearer).")
    ] = None,
    no_token: Annotated[
        bool, typer.Option("--no-token", help="Let everybody who reaches this address ask, from other machines too.")
    ] = False,
    device: Device = None,
) -> None:
    """Answer over HTTP what an ad asks for: `POST /extract`, `GET /healthz`, and `/docs`, which explains them.

    The model is loaded once, before the address is open. Requests are answered together, each as if it were alone.
    SIGTERM and Ctrl-C end it when the open requests are answered.

    Example: `skillsengine serve job-skills-demo@champion --port 8090`
    """
    settings = settings_for()
    version = find(reference, settings)
    server = import_heavy("skillsengine.serving.server")
    if token_file is not None and no_token:
        raise fail("--token-file and --no-token: either clients must send a token, or not. Leave one out.")
    token = None if token_file is None else read_token(token_file)
    bound = server.listen(host, port)
    if token is None and not no_token and not server.is_loopback(bound):
        raise fail(
            f"--host {host}: other machines reach this address, and no token is asked for. Add --token-file FILE (a token: "
            "openssl rand -hex 32 > FILE), or say that everybody may ask: --no-token."
        )
    loading = import_heavy("skillsengine.serving.load")
    limits = import_heavy("skillsengine.serving.http").Limits(max_concurrent, max_body, timeout)
    out.print(f"loading {version.name} from {version.folder}", markup=False)
    extractor = loading.load_named(version, settings, device=device, batch_size=batch_size)
    address = server.address_of(bound)

    def ready(_: object) -> None:
        out.print(f"serving {version.name} on {address} · {address}/docs explains it · Ctrl-C ends it", markup=False)
        out.file.flush()

    server.run(extractor, version, bound, limits, token=token, on_ready=ready)
    out.print("stopped; every open request was answered", markup=False)
