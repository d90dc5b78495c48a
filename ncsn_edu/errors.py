"""What an error says, in one line. This file does NOT know what went wrong, or where."""


def first_line(error: BaseException, otherwise: str = "") -> str:
    """The first line of an error; `otherwise`, or the kind of error that it is, where it says nothing."""
    return next(iter(str(error).strip().splitlines()), otherwise or type(error).__name__)
