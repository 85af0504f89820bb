# SPDX-License-Identifier: BSD-2-Clause
"""Walking page tables of any format.

Levels, index bits and page sizes come from the kernel's own pt_geo[], the
names of an entry's bits from pmap/<arch>/pte.h.  What is left to know here
of an architecture is how an entry tells a table from a leaf, and where the
address lies in it.
"""

import re
from dataclasses import dataclass

import gdb
import kernel

ROOT_GEO = 0xf          # PT_ROOT_GEO of pmap/common/pt_radix.h


@dataclass
class Step:
    level: int
    at: int             # physical address of the entry
    pte: int
    kind: str           # table, leaf, empty or bad
    pa: int             # what it leads to
    bits: str


class Format:
    """One row of pt_geo[]."""

    def __init__(self, index):
        f = kernel.symbol("pt_geo")[index]["f"]
        if not kernel.address(f):
            raise kernel.Unreadable("that page table has no format")
        self.name = kernel.text(f["name"])
        self.levels = int(f["levels"])
        self.page_shift = int(f["page_shift"])
        self.bits = [int(f["bits"][i]) for i in range(self.levels)]
        self.pa_bits = int(f["pa_bits"])
        self.arch = kernel.arch()

    def shift(self, level):
        return self.page_shift + sum(self.bits[:level])

    def index(self, level, va):
        return va >> self.shift(level) & (1 << self.bits[level]) - 1

    def pa(self, pte):
        if self.arch == "riscv64":
            # PPN is bits 53:10.
            return pte >> 10 << 12 & (1 << self.pa_bits) - 1
        return pte & (1 << self.pa_bits) - 1 & -(1 << self.page_shift)

    def kind(self, pte, level):
        if pte == 0:
            return "empty"
        if not pte & 1:
            return "bad"
        if self.arch == "x86_64":       # PS
            table = level > 0 and not pte >> 7 & 1
        elif self.arch == "aarch64":    # a table above the last level
            table = level > 0 and bool(pte & 2)
        else:                           # none of R, W, X
            table = not pte & 0xe
        if level == 0 and table:
            return "bad"
        return "table" if table else "leaf"

    def names(self, pte):
        """The bits of an entry by their names in <pte.h>."""
        found = re.findall(r"^#define PTE_(\w+)\s+PTE_BIT\((\d+)\)",
                           kernel.header(f"pmap/{self.arch}/pte.h"), re.M)
        return " ".join(name for name, bit in found if pte >> int(bit) & 1)


def store(pmap):
    """(physical address of the root, format) of a struct pmap *."""
    if not kernel.has("pt_geo"):
        raise kernel.Unreadable("this kernel's pmap is no radix tree")
    radix = pmap["store"].address.cast(
        gdb.lookup_type("struct pt_radix").pointer())
    word = int(radix["root"])
    if word == 0:
        return None, None
    return word & ~ROOT_GEO, Format(word & ROOT_GEO)


def walk(root, form, va):
    """The entries on the way to va, from the root to where it ends."""
    table = root
    for level in range(form.levels - 1, -1, -1):
        at = table + 8 * form.index(level, va)
        pte = kernel.read_word(at)
        kind = form.kind(pte, level)
        pa = form.pa(pte) if kind in ("table", "leaf") else 0
        if kind == "leaf":
            pa |= va & (1 << form.shift(level)) - 1
        yield Step(level, at, pte, kind, pa, form.names(pte))
        if kind != "table":
            return
        table = pa
