# SPDX-License-Identifier: BSD-2-Clause
"""Command lines: bad use is one line that names the fix, exit status 2."""

import argparse
import os


class Usage(Exception):
    """The command line asks for what does not exist."""


class Parser(argparse.ArgumentParser):
    """Raises Usage where argparse would print the whole usage."""

    def error(self, message):
        raise Usage(f"{message}; see ./{self.prog} --help")

    def split(self, arguments):
        """(own options, the rest): the rest begins at the first word that
        is no option, so that a program's options are its own."""
        takes_value = {name for action in self._actions
                       for name in action.option_strings
                       if action.nargs != 0}
        i = 0
        while i < len(arguments) and arguments[i].startswith("-"):
            if arguments[i] == "--":
                return arguments[:i], arguments[i + 1:]
            i += 2 if arguments[i] in takes_value else 1
        return arguments[:i], arguments[i:]


def positive(text):
    value = int(text)
    if value < 1:
        raise ValueError
    return value


positive.__name__ = "positive number"


def check_output(option, path):
    """Before the work is done whose results go there; path may be None."""
    if path is None:
        return
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(path, "a"):
            pass
    except OSError as error:
        raise Usage(f"{option} {path}: {error.strerror}") from error
