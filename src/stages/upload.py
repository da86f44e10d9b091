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

    uploaded = []
    try:
        for title in tracking.upload(main_checkout()):
            print(f"uploaded {title}")
            uploaded.append(title)
    except InputError as error:
        sys.exit(f"upload: {error}")
    if not uploaded:
        print("nothing to upload")


if __name__ == "__main__":
    main()
