# SPDX-License-Identifier: BSD-2-Clause
"""One run of a machine: QEMU, the console's streams, and how it ended.

The kernel's last word in its log is "pal: exit N" or "pal: signal N", of
the first program (kern/unix/start.c).  Without it the kernel panicked, or QEMU died, or it was
stopped: the Ending says which.
"""

import os
import re
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass, field

import console
from machine import MACHINES

LAST_WORD = re.compile(r"pal: (exit|signal) (\d+)$")
SWITCHED_OFF = re.compile(r"pal: process \d+ leaves the machine$")
LOST = re.compile(r"^(?:not given back: |pal: process \d+ does not end)")
CANNOT_RUN = re.compile(r"^pal: cannot run (.*)")
REFUSED = re.compile(r"^(option \w+=.*: .*)")
PANIC = re.compile(r"^panic\b[^:]*: *(.*)")
# What QEMU says when KVM gives a guest up, to the end of its last line.
KVM_ERROR = re.compile(r"KVM internal error.*^RIP=(\w+).*"
                       r"^Code=([^<\n]*)<(\w\w)>([^\n]*)\n", re.M | re.S)
CHUNK = 65536
# QEMU ends at once after the last word; if not, it is ended.
GRACE = 10


def kvm_error(said):
    """Which instruction KVM gave up at; "" as long as QEMU has not said."""
    found = KVM_ERROR.search(said)
    if not found:
        return ""
    code = [found[3], *found[4].split()]
    return (f"KVM gave up at {found[1]}: it cannot emulate the instruction "
            f"that begins {' '.join(code[:4])}")


class CannotStart(Exception):
    """QEMU did not even start."""


@dataclass
class Ending:
    status: int | None      # as a shell would say it; None: no last word
    reason: str             # why there is none
    kernel: int | None      # what the kernel told QEMU
    interrupted: bool = False
    lost: list = field(default_factory=list)    # what was not given back
    cannot_run: str = ""    # why the first program did not start
    refused: str = ""       # the option of the kernel's that cannot be

    @property
    def ok(self):
        return self.status == 0 and not self.lost


class Guest:
    """Runs a machine.Setup.  sinks: stream -> function(bytes).  The log
    keeps the kernel's stream, with log_all every stream."""

    def __init__(self, setup, log_path, sinks, log_all=False):
        self.setup = setup
        self.log_path = log_path
        self.log_all = log_all
        self.qemu = None
        self.sinks = dict(sinks)
        self.demux = console.Demultiplexer()
        self.lines = console.Lines(self._log_line)
        self.last_word = None
        self.switched_off = False
        self.broken_pipe = False
        self.lost = []
        self.cannot_run = ""
        self.refused = ""
        self.panic = None
        self.qemu_said = ""
        self.to_guest = b""
        self.interrupts = 0
        self.interrupted_at = 0.0
        self.heard = 0.0
        self.stopped = None
        self.stopped_at = 0.0
        self.next_input = 0.0
        self.grace = GRACE      # None: somebody looks at it in a debugger

    def run(self, source=None, silence=None, limit=None, at_end=True):
        """Until it ends.  source: descriptor of its standard input; None:
        nothing comes, and it is at its end if at_end.  silence, limit:
        seconds after which it is stopped."""
        os.makedirs(os.path.dirname(self.log_path), exist_ok=True)
        with open(self.log_path, "wb") as self.log:
            try:
                self.qemu = subprocess.Popen(
                    self.setup.command(), stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    start_new_session=True, bufsize=0)
            except OSError as error:
                raise CannotStart(f"{error.filename}: {error.strerror}")
            try:
                self._pump(source, silence, limit, at_end)
                code = self._wait()
            finally:
                if self.qemu.poll() is None:
                    self.qemu.kill()
                    self.qemu.wait()
                for pipe in (self.qemu.stdin, self.qemu.stdout,
                             self.qemu.stderr):
                    pipe.close()
            self.lines.end()
        return self._ending(code)

    def interrupt(self):
        """The person pressed ^C: the program's, the third one is ours."""
        now = time.monotonic()
        if now - self.interrupted_at > 2:
            self.interrupts = 0
        self.interrupts += 1
        self.interrupted_at = now
        self.to_guest += console.INTERRUPT
        if self.interrupts >= 3:
            self.stop("stopped by three interrupts")

    def stop(self, reason):
        if not self.stopped:
            self.stopped = reason
            self.stopped_at = time.monotonic()
        if self.qemu:
            self.qemu.send_signal(self.setup.end_signal)

    # -- inside -----------------------------------------------------------

    def _pump(self, source, silence, limit, at_end):
        start = self.heard = time.monotonic()
        raw = self.qemu.stdin.fileno()
        os.set_blocking(raw, False)
        self.source = source
        self.source_end = source is None and at_end
        open_pipes = {self.qemu.stdout, self.qemu.stderr}
        with selectors.DefaultSelector() as self.selector:
            for pipe in open_pipes:
                self.selector.register(pipe, selectors.EVENT_READ)
            while open_pipes:
                self._watch_input(raw)
                for key, _ in self.selector.select(self._patience()):
                    if key.fileobj in open_pipes:
                        if not self._read(key.fileobj):
                            self.selector.unregister(key.fileobj)
                            open_pipes.discard(key.fileobj)
                    elif key.fileobj == raw:
                        self._write(raw)
                    else:
                        self._read_source()
                self._check_time(start, silence, limit)

    def _patience(self):
        """Seconds until something is to be done unasked."""
        if not self.to_guest:
            return 0.5
        return min(0.5, max(0.0, self.next_input - time.monotonic()) or 0.5)

    def _check_time(self, start, silence, limit):
        now = time.monotonic()
        if limit and now - start > limit:
            self.stop(f"not done after {limit} s")
        elif silence and now - self.heard > silence:
            self.stop(f"silent for {silence} s")
        elif self.last_word and self.grace and \
                now - self.heard > self.grace:
            self.qemu.kill()
        if self.stopped and now - self.stopped_at > GRACE:
            self.qemu.kill()

    def _watch_input(self, raw):
        """Input waits until the kernel has set up its serial line: what
        comes before may be dropped.  Then a little is kept under way."""
        if self.source_end:
            self.to_guest += console.END_OF_INPUT
            self.source_end = False
        ready = self.demux.switched and not self.last_word
        self._want(raw, selectors.EVENT_WRITE,
                   ready and bool(self.to_guest)
                   and time.monotonic() >= self.next_input)
        if self.source is not None:
            self._want(self.source, selectors.EVENT_READ,
                       ready and len(self.to_guest) < CHUNK)

    def _want(self, fileobj, event, wanted):
        registered = fileobj in self.selector.get_map()
        if wanted and not registered:
            try:
                self.selector.register(fileobj, event)
            except OSError:
                # A plain file is always ready, and epoll refuses it.
                self._read_source()
        elif registered and not wanted:
            self.selector.unregister(fileobj)

    def _read_source(self):
        try:
            data = os.read(self.source, CHUNK)
        except OSError:
            data = b""
        if data:
            self.take_input(data)
        else:
            self._want(self.source, 0, False)
            self.source = None
            self.source_end = True

    def take_input(self, data):
        self.to_guest += console.encode(data)

    def _write(self, raw):
        try:
            chunk, pause = self.setup.input_pace
            written = os.write(raw, self.to_guest[:chunk])
            self.to_guest = self.to_guest[written:]
            self.next_input = time.monotonic() + pause
        except BlockingIOError:
            pass
        except OSError:
            self.to_guest = b""     # QEMU has gone; its output tells

    def _read(self, pipe):
        data = os.read(pipe.fileno(), CHUNK)
        if pipe is self.qemu.stderr:
            self.qemu_said += data.decode(errors="replace")
            self._to_log(data)
            if why := kvm_error(self.qemu_said):
                # QEMU stops the machine, and waits for a debugger.
                self.stop(why)
            return bool(data)
        if data:
            self.heard = time.monotonic()
        for stream, piece in self.demux.feed(data):
            if stream == console.LOG or self.log_all:
                self._to_log(piece)
            if stream == console.LOG:
                self.lines.feed(piece)
            if stream in self.sinks:
                self._to_sink(stream, piece)
        return bool(data)

    def _to_log(self, data):
        self.log.write(data)
        self.log.flush()

    def _to_sink(self, stream, piece):
        try:
            self.sinks[stream](piece)
        except BrokenPipeError:
            # Nobody reads any more: what SIGPIPE does to a program.
            self.sinks.pop(stream)
            self.broken_pipe = True
            self.stop("nobody reads its output")

    def _log_line(self, line):
        if match := LAST_WORD.search(line):
            self.last_word = match
        elif SWITCHED_OFF.search(line):
            self.switched_off = True
        elif LOST.search(line):
            self.lost.append(line)
        elif match := CANNOT_RUN.search(line):
            self.cannot_run = match[1]
        elif match := REFUSED.search(line):
            self.refused = match[1]
        elif (match := PANIC.search(line)) and self.panic is None:
            self.panic = match[1] or line

    def _wait(self):
        try:
            return self.qemu.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.stop("QEMU closed its output and did not end")
            self.qemu.kill()
            return self.qemu.wait()

    def _ending(self, code):
        kernel = MACHINES[self.setup.arch].status(code)
        if self.last_word and self.panic is None:
            kind, number = self.last_word[1], int(self.last_word[2])
            return Ending(number if kind == "exit" else 128 + number, "",
                          kernel, lost=self.lost,
                          cannot_run=self.cannot_run)
        if self.broken_pipe:
            return Ending(128 + signal.SIGPIPE, "", kernel)
        if self.switched_off and self.panic is None and not self.stopped:
            return Ending(0, "", kernel)
        if self.panic is not None:
            reason = f"kernel panic: {self.panic}"
        elif self.stopped:
            reason = self.stopped
        elif self.qemu_said.strip():
            reason = ("QEMU failed: "
                      + self.qemu_said.strip().splitlines()[-1])
        elif self.refused and kernel == 2:
            return Ending(None, self.refused, kernel, refused=self.refused)
        elif code < 0:
            reason = f"QEMU was killed by {signal.Signals(-code).name}"
        else:
            reason = ("the kernel left the machine without a word (QEMU's "
                      f"exit status {code})")
        return Ending(None, reason, kernel,
                      interrupted=self.interrupts >= 3)
