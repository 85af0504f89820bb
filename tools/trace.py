# SPDX-License-Identifier: BSD-2-Clause
"""Every instruction of one way through the kernel, by function.

trace.py --arch ARCH [--at FUNCTION] [--skip N] [--list] PROGRAM [ARG]...

Runs PROGRAM on the release kernel until FUNCTION has been entered N times,
goes on to user mode and from there, one instruction at a time, to the next
trap or call and through the kernel back to user mode.  Prints how many
instructions it took, and how many in which function, in the order of their
first one; --list prints the instructions themselves.  Interrupts are held
back meanwhile.  --whole starts counting at once, in FUNCTION.
"""

import argparse
import bisect
import collections
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time

import debug
import elf
import machine
import run
from guest import Guest
from initrd import Archive

# Its place among the registers of 8 bytes that "g" answers with.
PC = {"x86_64": 16, "aarch64": 32, "riscv64": 32}
KERNEL = 1 << 63
MOST = 2000000


class Stub:
    """QEMU's end of gdb's remote protocol: as little as is needed."""

    def __init__(self, path, arch):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.pending = b""
        self.at = PC[arch] * 16

    def _byte(self):
        if not self.pending:
            self.pending = self.socket.recv(65536)
            if not self.pending:
                raise EOFError("the machine has ended")
        byte, self.pending = self.pending[:1], self.pending[1:]
        return byte

    def ask(self, command):
        data = command.encode()
        self.socket.sendall(b"+$%s#%02x" % (data, sum(data) & 0xff))
        while self._byte() != b"$":
            pass
        answer = b""
        while (byte := self._byte()) != b"#":
            answer += byte
        self._byte(), self._byte()
        return answer.decode()

    def pc(self):
        word = self.ask("g")[self.at:self.at + 16]
        return int.from_bytes(bytes.fromhex(word), "little")

    def step(self):
        self.ask("s")
        return self.pc()

    def run_to(self, address, times):
        self.ask(f"Z1,{address:x},4")
        for i in range(times):
            if i:
                # On from the breakpoint, which is still there.
                self.ask(f"z1,{address:x},4")
                self.step()
                self.ask(f"Z1,{address:x},4")
            if not self.ask("c").startswith(("T", "S")):
                raise EOFError("the machine has ended")
        self.ask(f"z1,{address:x},4")


class Symbols:
    def __init__(self, image):
        rows = []
        for line in subprocess.run(
                ["llvm-nm", "-n", image], capture_output=True, text=True,
                check=True).stdout.splitlines():
            fields = line.split()
            if len(fields) == 3 and fields[1] in "tTwW" and \
                    not fields[2].startswith((".L", "$")):
                rows.append((int(fields[0], 16), fields[2]))
        self.addresses = [address for address, _ in rows]
        self.names = [name for _, name in rows]
        self.image = image

    def address(self, name):
        return self.addresses[self.names.index(name)]

    def name(self, pc):
        at = bisect.bisect_right(self.addresses, pc) - 1
        return self.names[at] if at >= 0 else "?"

    def text(self):
        """Address -> instruction."""
        found = {}
        out = subprocess.run(
            ["llvm-objdump", "-d", "--no-show-raw-insn", self.image],
            capture_output=True, text=True, check=True).stdout
        for line in out.splitlines():
            where, colon, text = line.partition(":")
            if colon and text.startswith(("\t", " ")):
                try:
                    found[int(where, 16)] = " ".join(text.split())
                except ValueError:
                    pass
        return found


def follow(stub, start, whole):
    """The program counters from one entry to the return to user mode."""
    pc, steps = start, []
    if not whole:
        while pc & KERNEL:
            pc = stub.step()
        while not pc & KERNEL:
            pc = stub.step()
    while pc & KERNEL and len(steps) < MOST:
        steps.append(pc)
        pc = stub.step()
    return steps


def report(steps, symbols, listing, out):
    text = symbols.text() if listing else {}
    count = collections.Counter()
    last = None
    for pc in steps:
        name = symbols.name(pc)
        count[name] += 1
        if listing:
            if name != last:
                out.write(f"{name}:\n")
            out.write(f"    {pc:x} {text.get(pc, '')}\n")
        last = name
    for name, n in count.items():
        out.write(f"{n:7} {name}\n")
    out.write(f"{len(steps):7} instructions\n")


def trace(setup, image, args, out):
    guest = Guest(setup, os.path.join(
        machine.BUILD, "logs", f"trace-{args.arch}.log"), {}, log_all=True)
    thread = threading.Thread(target=guest.run)
    thread.start()
    try:
        while thread.is_alive() and not os.path.exists(setup.socket):
            time.sleep(0.05)
        symbols = Symbols(image)
        stub = Stub(setup.socket, args.arch)
        stub.run_to(symbols.address(args.at), args.skip)
        report(follow(stub, stub.pc(), args.whole), symbols, args.list, out)
        return 0
    except (EOFError, OSError, ValueError) as error:
        print(f"trace.py: {args.at}: {error}", file=sys.stderr)
        return 1
    finally:
        guest.stop("traced")
        thread.join()


def main(argv):
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--arch", choices=machine.ARCHES, required=True)
    p.add_argument("--at", default="vm_fault_thread", metavar="FUNCTION")
    p.add_argument("--skip", type=int, default=1, metavar="N")
    p.add_argument("--list", action="store_true")
    p.add_argument("--whole", action="store_true")
    p.add_argument("--option", action="append", default=[])
    p.add_argument("words", nargs=argparse.REMAINDER, metavar="PROGRAM")
    args = p.parse_args(argv)
    if not args.words:
        p.error("which program?")
    program = run.find_program(args.words[0], args.arch)
    elf.check(program, args.arch)
    kernel = machine.kernel_path(args.arch, "release")
    archive = Archive()
    archive.file(program, "/bin/program", 0o755)
    archive.first_program(["/bin/program", *args.words[1:]], ["PATH=/bin"])
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        initrd = os.path.join(directory, "initrd")
        archive.write(initrd)
        setup = debug.StoppedSetup(
            args.arch, kernel, initrd, archive.first, machine.DEFAULT_MEMORY,
            tuple(args.option), True, socket=os.path.join(directory, "gdb"))
        return trace(setup, os.path.join(os.path.dirname(kernel), "kernel"),
                     args, sys.stdout)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
