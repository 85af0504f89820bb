# SPDX-License-Identifier: BSD-2-Clause
"""Makes the initial file system: a cpio archive of format "newc".

Data of files is aligned to a page in the archive, so that the kernel can
use its frames in place.  newc aligns to 4 bytes only; the rest is made up
by NULs behind the file's name, which the format allows (the name ends at
the first).  Two archives of the same files are equal byte for byte.

The first program's arguments and environment are the files /.pal/args and
/.pal/env, each string ended by a NUL; the first argument is its path.
"""

import os
import posixpath
import shutil
import stat

PAGE = 4096
HEADER = 110
MAX_FILE = 0xffffffff
# 2024-01-01, the date that a counting machine starts at.
MTIME = 1704067200


class Bad(Exception):
    """What was asked for cannot be put into the archive."""


def guest_path(path):
    """A clean absolute path, or Bad."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if "\0" in path or "\n" in path or ".." in path.split("/"):
        raise Bad(f"the guest path '{path}' is not plain; use /dir/name")
    if clean == "/":
        raise Bad(f"the guest path '{path}' names no file")
    return clean


class Archive:
    """Entries by guest path, then written at once."""

    def __init__(self):
        self.entries = {}       # path -> (mode, host path or bytes)
        self.first = None       # the first program's path

    def _add(self, path, mode, content):
        path = guest_path(path)
        parent = posixpath.dirname(path)
        if parent != "/":
            self.directory(parent)
        old = self.entries.get(path)
        if old and not (stat.S_ISDIR(old[0]) and stat.S_ISDIR(mode)):
            raise Bad(f"{path} is put into the initrd twice; give one of "
                      "them another guest path")
        self.entries.setdefault(path, (mode, content))

    def directory(self, path, mode=0o755):
        self._add(path, stat.S_IFDIR | mode, b"")

    def data(self, path, content, mode=0o644):
        """A file with these bytes."""
        self._add(path, stat.S_IFREG | mode, bytes(content))

    def file(self, host, path, mode=None):
        """A file of the host, or a directory with all that is in it."""
        try:
            found = os.stat(host)
            if stat.S_ISDIR(found.st_mode):
                self.directory(path, found.st_mode & 0o7777)
                for name in sorted(os.listdir(host)):
                    self.file(os.path.join(host, name),
                              posixpath.join(path, name))
                return
            with open(host, "rb"):
                pass
        except OSError as error:
            raise Bad(f"{host}: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise Bad(f"{host} is neither a file nor a directory")
        if found.st_size > MAX_FILE:
            raise Bad(f"{host} is larger than an initrd's file can be "
                      "(4 GiB)")
        if mode is None:
            mode = found.st_mode & 0o7777
        self._add(path, stat.S_IFREG | mode, host)

    def first_program(self, arguments, environment):
        """What runs, by its guest path in arguments[0]."""
        self.first = arguments[0]
        for name, strings in (("args", arguments), ("env", environment)):
            self.data(f"/.pal/{name}",
                      b"".join(os.fsencode(s) + b"\0" for s in strings))

    def size(self):
        """About as large as it will be."""
        total = PAGE
        for _, content in self.entries.values():
            length = (len(content) if isinstance(content, bytes)
                      else os.stat(content).st_size)
            total += length + PAGE
        return total

    def write(self, path):
        try:
            with open(path, "wb") as out:
                for number, name in enumerate(sorted(self.entries), 1):
                    mode, content = self.entries[name]
                    write_entry(out, number, name[1:], mode, content)
                write_entry(out, 0, "TRAILER!!!", 0, b"")
        except OSError as error:
            raise Bad(f"{path}: {error.strerror}; free some space or "
                      "give fewer files") from error


def write_entry(out, number, name, mode, content):
    source = None
    if isinstance(content, bytes):
        length = len(content)
    else:
        source = open(content, "rb")
        length = os.fstat(source.fileno()).st_size
    name = os.fsencode(name) + b"\0"
    if length:
        name += b"\0" * (-(out.tell() + HEADER + len(name)) % PAGE)
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = (number, mode, 0, 0, links, MTIME, length, 0, 0, 0, 0,
              len(name), 0)
    out.write(b"070701" + b"".join(b"%08X" % field for field in fields))
    out.write(name)
    out.write(b"\0" * (-out.tell() % 4))
    start = out.tell()
    if source:
        with source:
            shutil.copyfileobj(source, out)
        if out.tell() - start != length:
            raise Bad(f"{content} changed while it was read")
    else:
        out.write(content)
    out.write(b"\0" * (-out.tell() % 4))
