"""How this machine reaches the sources of files."""

import os
from pathlib import Path

from classifier.sources.fetch import Access
from stages.layout import located, main_checkout


def machine_access(attempts: int, timeout: float) -> Access:
    """The mirror that the variable ``DATA_MIRROR`` names, and the checkout's folder of downloads.

    Args:
        attempts: per URL.
        timeout: seconds without a byte.
    """
    mirror = os.environ.get("DATA_MIRROR")
    return Access(
        mirror=Path(mirror).expanduser() if mirror else None,
        downloads=main_checkout() / ".dvc" / "tmp" / "downloads",
        attempts=attempts,
        timeout=timeout,
        locate=located,
    )
