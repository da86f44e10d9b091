"""The DVC stages: config in, library calls, files out. One module a stage, run as
``python -m stages.<stage> pipeline=<name>`` from the root of the checkout.
"""

import sys
from pathlib import Path

# A queued DVC experiment runs in a copy of the checkout, with the virtual environment of the
# original: the copy's code must run, not the installed one.
_source = Path.cwd() / "src"
if (_source / "stages").is_dir():
    sys.path.insert(0, str(_source))
    __path__ = [str(_source / "stages")]
