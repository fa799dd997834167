"""`serve`: the app as a server, until it is stopped."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from weightspace import disk
from weightspace.app.limits import Limits
from weightspace.errors import UsageError
from weightspace.images.search import VARIABLE

LOOPBACK = "127.0.0.1"
PORT = 7860
_FOLDER = "weightspace-app"
_MISSING = 'pip install "weightspace[app]"'


def serve(
    host: str | None = LOOPBACK, port: int | None = PORT, limits: Limits | None = None
) -> None:
    """Serve the app until it is interrupted.

    Parameters
    ----------
    host : str, optional
        The address on which it listens. None: as the environment says (`GRADIO_SERVER_NAME`).
    port : int, optional
        Its port; 0 for any that is free. None: as the environment says (`GRADIO_SERVER_PORT`).
    limits : Limits, optional
        What visitors may ask for.

    Raises
    ------
    UsageError
        If Gradio is missing, or the port is taken.
    """
    _set_environment()
    if find_spec("gradio") is None:
        raise UsageError("app", "Gradio is not installed", _MISSING)
    import matplotlib.pyplot  # noqa: F401  # else Gradio does while the first visitor waits
    from fastapi.middleware import Middleware

    from weightspace.app.actions import Actions
    from weightspace.app.door import Door
    from weightspace.app.interface import interface
    from weightspace.app.theme import theme
    from weightspace.app.uploads import Uploads
    from weightspace.report.html.assets import own

    allowed = limits or Limits()
    with disk.private_folder(_FOLDER) as folder:
        # What Gradio keeps lies in the same folder, and is removed with it.
        os.environ["GRADIO_TEMP_DIR"] = str(folder.path)
        uploads = Uploads(folder, allowed)
        page = interface(Actions(uploads, allowed))
        try:
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                max_file_size=allowed.upload,
                app_kwargs={"middleware": [Middleware(Door, uploads=uploads)]},
                theme=theme(),
                css=own("app.css", "weightspace.app"),
            )
        except OSError as error:
            raise _refused(error, host, port) from None
        print(f"weightspace app: {address} (Ctrl-C ends it)", flush=True)
        try:
            _wait(uploads)
        finally:
            _end(page)


def _refused(error: OSError, host: str | None, port: int | None) -> UsageError:
    if "empty port" in str(error):  # Gradio's words
        return UsageError(f"port {port}", "is taken", "give another `port=`")
    return UsageError(f"{host}:{port}", error.strerror or error, "give another `host=`")


def _set_environment() -> None:
    """Switch off what Gradio and the hub's library send home, before they are imported."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if images := os.environ.get(VARIABLE):  # workers are in other folders
        os.environ[VARIABLE] = str(Path(images).expanduser().absolute())


def _end(page: Any) -> None:
    """Break off what visitors ask, which ends the processes of their audits."""
    page.server.force_exit = True  # else it waits until visitors close their tabs
    logging.getLogger("uvicorn.error").disabled = True  # a traceback for each of them
    page.close(verbose=False)


def _wait(uploads: Any) -> None:
    with suppress(KeyboardInterrupt):
        while True:
            time.sleep(10)
            uploads.remove_old()
