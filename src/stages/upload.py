"""Uploads the runs that were kept while the MLflow store could not be used.

``python -m stages.upload``: to the store that is in use now, the embedded one or the server that
MLFLOW_TRACKING_URI names.
"""

import argparse
import sys

from classifier.errors import InputError
from stages.layout import main_checkout


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m stages.upload", description="Upload runs that an outage of MLflow kept."
    ).parse_args()
    from classifier import tracking

    try:
        uploaded = tracking.upload(main_checkout())
    except InputError as error:
        sys.exit(f"upload: {error}")
    print("\n".join(f"uploaded {title}" for title in uploaded) or "nothing to upload")


if __name__ == "__main__":
    main()
