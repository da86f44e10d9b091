"""The error of a layout that cannot be used."""

from classifier.support.errors import InputError


class LayoutError(InputError):
    """The images do not lie as the layout says. The message is one line.

    It is no failure of the source: the next source is not tried.
    """
