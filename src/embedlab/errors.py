"""The one exception that users are meant to read."""


class InputError(ValueError):
    """Something that the user gave is wrong.

    The message is one line: which file, row or parameter, what is wrong with it, what to do.
    """
