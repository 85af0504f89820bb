# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's table of function names, for kern/symbols.c.

ksyms.py NM KERNEL OUT.S            write the table of KERNEL's functions
ksyms.py --check NM KERNEL OUT.S    OUT.S is still what KERNEL would give

The kernel is linked without the table, then again with it; --check then
shows that no function has moved between the two.
"""

import subprocess
import sys

MAX_NAME = 31
PER_LINE = 6


def fail(text):
    print(f"ksyms.py: {text}", file=sys.stderr)
    return 1


def symbols(nm, kernel):
    """(base, end of the text, [(address, name)] rising, one an address)."""
    done = subprocess.run([nm, "-n", kernel], capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(done.stderr.strip() or f"{nm} failed")
    base = end = None
    found = {}
    for line in done.stdout.splitlines():
        words = line.split()
        if len(words) != 3:
            continue
        address, kind, name = int(words[0], 16), words[1], words[2]
        if name == "kern_image_start":
            base = address
        elif name == "kern_text_end":
            end = address
        elif kind in "tTwW" and not name.startswith((".L", "$", "L0")):
            # Of several names of an address, a global one tells most.
            if not found.get(address, (False,))[0]:
                found[address] = (kind in "TW", name)
    if base is None or end is None:
        raise ValueError(f"{kernel} has no kern_image_start, kern_text_end")
    return base, end, [(address, name) for address, (_, name)
                       in sorted(found.items()) if base <= address < end]


def assembly(base, end, table):
    offsets = [address - base for address, _ in table] + [end - base]
    yield "/* SPDX-License-Identifier: BSD-2-Clause */"
    yield "/* Made by tools/ksyms.py; read by kern/symbols.c. */"
    yield '    .section .rodata.ksyms, "a"'
    yield "    .balign 4"
    yield "    .globl kern_symbols"
    yield "kern_symbols:"
    yield f"    .long {len(table)}"
    for i in range(0, len(offsets), PER_LINE):
        yield "    .long " + ", ".join(
            f"{offset:#x}" for offset in offsets[i:i + PER_LINE])
    for _, name in table:
        yield f'    .asciz "{name[:MAX_NAME]}"'
    yield '    .section .note.GNU-stack, "", %progbits'


def main(argv):
    check = argv[:1] == ["--check"]
    argv = argv[check:]
    if len(argv) != 3:
        return fail(__doc__.strip())
    nm, kernel, out = argv
    try:
        text = "\n".join(assembly(*symbols(nm, kernel))) + "\n"
        if check:
            with open(out) as file:
                if file.read() != text:
                    return fail(f"{kernel}: functions are not where {out} "
                                "says; the two links differ")
        else:
            with open(out, "w") as file:
                file.write(text)
    except (OSError, ValueError) as error:
        return fail(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
