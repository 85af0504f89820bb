# SPDX-License-Identifier: BSD-2-Clause
"""The run gdb/<arch>, for CTest: boots the debug kernel under gdb, where
tests/gdb/commands.py prints KTAP.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile

import debug
import machine
from guest import CannotStart
from initrd import Archive
from packages import ROOT

PROGRAM = "forktree"
SECONDS = 60


def gdb_arguments():
    paths = [os.path.join(ROOT, "tools"), os.path.join(ROOT, "tools", "gdb")]
    return ["-batch", "-ex", f"python import sys; sys.path += {paths}",
            "-x", os.path.join(ROOT, "tests", "gdb", "commands.py")]


def main(argv):
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--arch", choices=machine.ARCHES, required=True)
    p.add_argument("-k", dest="pattern")
    p.add_argument("--seed", help="accepted, as by every test")
    p.add_argument("--long", action="store_true")
    args = p.parse_args(argv)
    if not shutil.which("gdb-multiarch"):
        print("1..0 # skip gdb-multiarch is not installed")
        return 77
    program = machine.user_path(args.arch, PROGRAM)
    environment = {**os.environ, "PAL_GDB_PROGRAM": program,
                   "PYTHONDONTWRITEBYTECODE": "1"}
    if args.pattern:
        environment["PAL_GDB_CASES"] = args.pattern
    archive = Archive()
    archive.file(program, f"/bin/{PROGRAM}", 0o755)
    archive.first_program([f"/bin/{PROGRAM}"], ["PATH=/bin"])
    with tempfile.TemporaryDirectory(dir=machine.BUILD) as directory:
        log = environment["PAL_GDB_LOG"] = os.path.join(directory, "log")
        initrd = os.path.join(directory, "initrd")
        archive.write(initrd)
        setup = debug.StoppedSetup(
            args.arch, machine.kernel_path(args.arch, "debug"), initrd,
            archive.first, machine.size("256M"),
            socket=os.path.join(directory, "gdb"))
        try:
            # KTAP comes from gdb alone: the machine's words go to the log.
            return debug.run_gdb(
                setup, {}, gdb_arguments(), log,
                env=environment, cwd=ROOT, stdin=subprocess.DEVNULL,
                timeout=SECONDS).returncode
        except (CannotStart, subprocess.TimeoutExpired) as error:
            print(f"# {error}")
            return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
