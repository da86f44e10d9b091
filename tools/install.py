"""Installs locked packages into the virtual environment of the Python that runs it.

$ .venv/bin/python tools/install.py requirements.txt        # `make setup` calls it so

uv installs them in a fraction of pip's time. Where uv cannot be had, or fails, pip installs them.
"""

import ast
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
# uv does not read pip's configuration: it is told of a mirror by its own variables
# (https://docs.astral.sh/uv/reference/environment). Each has the sign between several values.
SETTINGS = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
# A file may come from any of the indexes, as with pip: its hash is known.
UV_OPTIONS = ["--index-strategy", "unsafe-best-match", "--compile-bytecode"]
# What both print for each of 200 packages. Large downloads are named as they begin.
DETAIL = re.compile(
    r" [+~-] | *(Collecting|Processing|Obtaining|Ignoring|Looking|Using|Requirement|Attempting"
    r"|Found|Uninstalling) | *Successfully uninstalled| *Downloading .*(\.metadata|[ (][\d.]+ ?kB)"
)
NAMES = re.compile(r"(Installing collected packages|Successfully installed).*")


def pip_options(listed: str) -> dict[str, str]:
    """The options in what `pip config list` prints, by name.

    A variable of the environment counts before a section for ``pip install``, and that before the
    section for all commands.
    """
    options: dict[str, str] = {}
    for section in ("global.", "install.", ":env:."):
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(section):
                options[key.removeprefix(section)] = ast.literal_eval(value)
    return options


def uv_environment(options: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for uv: pip's options under uv's names, where uv has no values of its own."""
    told = {
        variable: separator.join(options[name].split())
        for name, (variable, separator) in SETTINGS.items()
        if options.get(name)
    }
    return told | dict(environment)


def find_uv() -> str | None:
    """The program uv: this machine's, or the locked one, which pip installs. None says why."""
    locked = Path(sys.executable).with_name("uv.exe" if os.name == "nt" else "uv")
    if found := shutil.which("uv") or shutil.which(locked):
        return found
    words = ["install", "--quiet", "--require-hashes", "-r", "requirements-uv.txt"]
    installed = subprocess.run([*PIP, *words], capture_output=True, text=True)
    if installed.returncode == 0:
        return str(locked)
    *_, reason = ["no reason is known", *installed.stderr.splitlines()]
    print(f"uv cannot be had ({reason}): pip installs, which takes longer", flush=True)
    return None


def shown(command: list[str], environment: Mapping[str, str] | None = None) -> int:
    """Runs a command, prints its lines but for DETAIL and NAMES, and returns its exit status."""
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if not DETAIL.match(line):
            print(NAMES.sub(r"\1", line), end="", flush=True)
    return process.wait()


def remove_other_tensorflow(file: str) -> None:
    """Removes TensorFlow with CUDA before the one without is installed, and the other way round.

    They are two packages with the same files: each would be damaged when the other is removed.
    """
    pinned = re.findall(r"^(tensorflow|tensorflow-cpu)==", Path(file).read_text("utf-8"), re.M)
    if not pinned or (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return  # on other machines there is one alone
    other = "tensorflow" if "tensorflow-cpu" in pinned else "tensorflow-cpu"
    try:
        version(other)
    except PackageNotFoundError:
        return
    print(f"Removing {other}: {file} has another TensorFlow", flush=True)
    subprocess.run([*PIP, "uninstall", "--quiet", "--yes", other], check=True)


def install(file: str) -> None:
    """Installs the packages of a requirements file with hashes.

    Raises:
        SystemExit: pip failed too, and has printed why.
    """
    words = ["install", "--require-hashes", "-r", file]
    if uv := find_uv():
        listed = subprocess.run([*PIP, "config", "list"], capture_output=True, text=True).stdout
        options = pip_options(listed)
        closed = ["--no-index"] if options.get("no-index") in ("1", "on", "true", "yes") else []
        command = [uv, "pip", *words, "--python", sys.executable, *UV_OPTIONS, *closed]
        if shown(command, uv_environment(options, os.environ)) == 0:
            return
        print("uv failed: pip installs, which takes longer", flush=True)
    if status := shown([*PIP, *words, "--progress-bar", "off"]):
        sys.exit(status)


def main(files: list[str]) -> None:
    os.chdir(ROOT)
    for file in files:
        print(f"Installing the packages of {file}", flush=True)
        remove_other_tensorflow(file)
        install(file)


if __name__ == "__main__":
    main(sys.argv[1:])
