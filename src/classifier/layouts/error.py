"""The error of a layout that cannot be used."""

from classifier.support.errors import InputError


class LayoutError(InputError):
    """The images do not lie as the layout says. The message is one line.

    It is no failure of the source: the next source is not tried.
    """

    def __init__(self, message: str) -> None:
        # A name of a column or a file may have a line break.
        super().__init__(" ".join(message.split()))
