"""The one exception that a user's input can cause."""


class ClaimsError(ValueError):
    """Bad input, said in one sentence: what was expected, what was found, what to do.

    The command line prints the message alone and ends with status 2; from Python it is a ``ValueError``.
    """
