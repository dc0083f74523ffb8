"""The exception that is shown to users as one line."""


class InputError(ValueError):
    """An input of the user is wrong.

    Its message, one line, names the file, row or parameter, the fault and the remedy.
    """
