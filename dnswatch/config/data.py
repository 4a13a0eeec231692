"""Where the data that ships with dnswatch stands: in the wheel, or at the top of a checkout.

Never: reads it. Read next: ``config/catalogue.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from dnswatch.errors import DnswatchError

Kind = Literal["feeds", "examples"]


def data_path(kind: Kind) -> Path:
    """Give the folder of the catalogue (``feeds``) or of the complete set-ups (``examples``).

    Raises `DnswatchError` when the installation lacks it.
    """
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "data" / kind, package.parent / kind):
        if folder.is_dir():
            return folder
    raise DnswatchError(f"the installation is incomplete: {package / 'data' / kind} is missing; install dnswatch again")
