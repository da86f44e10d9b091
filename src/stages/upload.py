"""Uploads the runs that were postponed because the MLflow store could not be used.

``python -m stages.upload`` uploads to the store that is in use now: the embedded one, or the
server in MLFLOW_TRACKING_URI.
"""

import argparse

from stages.layout import main_checkout
from stages.one_line import stops_in_one_line


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
    with stops_in_one_line("upload"):
        for title in tracking.upload(main_checkout()):
            print(f"uploaded {title}")
            uploaded.append(title)
    if not uploaded:
        print("nothing to upload")


if __name__ == "__main__":
    main()
