# SPDX-License-Identifier: BSD-2-Clause
"""The host's end of the kernel's console: several streams on one line.

kern/kern.h has the protocol.  DLE and a letter switches the stream that
the following bytes belong to; DLE DLE is a DLE byte.  What comes before the
first switch is firmware's, and belongs to the log.
"""

DLE = 0x10
OUT, ERR, LOG, TEST = "O", "E", "L", "T"
STREAMS = (OUT, ERR, LOG, TEST)

END_OF_INPUT = bytes([DLE]) + b"Z"
INTERRUPT = bytes([DLE]) + b"S"


class Demultiplexer:
    """Takes the console's bytes as they come, in pieces of any size."""

    def __init__(self):
        self.stream = LOG
        self.escaped = False    # a DLE came, its second byte has not
        self.switched = False   # the kernel itself has spoken

    def feed(self, data):
        """[(stream, bytes)], neighbours of one stream joined."""
        pieces = []
        start = 0
        while start < len(data):
            if self.escaped:
                self.escaped = False
                self._second(data[start], pieces)
                start += 1
                continue
            end = data.find(DLE, start)
            if end < 0:
                end = len(data)
            else:
                self.escaped = True
            self._add(pieces, data[start:end])
            start = end + 1
        return pieces

    def _second(self, byte, pieces):
        letter = chr(byte)
        if byte == DLE:
            self._add(pieces, bytes([DLE]))
        elif letter in STREAMS:
            self.stream = letter
            self.switched = True
        else:
            # No stream: nothing that came is to be lost.
            pieces.append((LOG, bytes([DLE, byte])))

    def _add(self, pieces, data):
        if not data:
            return
        if pieces and pieces[-1][0] == self.stream:
            data = pieces.pop()[1] + data
        pieces.append((self.stream, data))


def encode(data):
    """Bytes of standard input, as the kernel wants them."""
    return data.replace(bytes([DLE]), bytes([DLE, DLE]))


class Lines:
    """Cuts a stream into lines; calls back with each, as text."""

    def __init__(self, callback):
        self.callback = callback
        self.rest = b""

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self._tell(line)

    def end(self):
        if self.rest:
            self._tell(self.rest)
        self.rest = b""

    def _tell(self, line):
        self.callback(line.rstrip(b"\r").decode(errors="replace"))
