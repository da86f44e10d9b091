"""Uploads the runs that were postponed because the MLflow store could not be used.

``python -m stages.upload`` uploads to the store that is in use now: the embedded one, or the
server in MLFLOW_TRACKING_URI.
"""

import argparse
import sys

from classifier.support.errors import InputError
from stages.layout import main_checkout


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m stages.upload",
        description="Uploads runs that an outage of MLflow postponed.",
    ).parse_args()
    from classifier import tracking

    # An earlier version kept the runs in a store of its own.
    if (earlier := main_checkout() / ".dvc" / "tmp" / "postponed" / "mlflow.db").exists():
        print(f"{earlier} has runs of an earlier version: upload them with that version's code")
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
