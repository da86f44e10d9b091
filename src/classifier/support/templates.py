"""Templates of HTML pages (https://jinja.palletsprojects.com)."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def templates(package: str) -> Environment:
    """The templates beside a package's modules. They escape what they show, and know ``count``.

    Args:
        package: its name, as ``classifier.reporting``.
    """
    environment = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["count"] = lambda number: f"{number:,}"
    return environment
