# SPDX-License-Identifier: BSD-2-Clause
"""gdb commands for the kernels: docs/debugging.md.

    gdb-multiarch -x tools/gdb/pal.py build/kernel/<arch>/debug/kernel

pal-ps, pal-map, pal-object, pal-page, pal-walk, pal-locks.  They only read
memory and call nothing in the kernel, so they can be used wherever it stops.
"""

import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import kernel                                               # noqa: E402
import tables                                               # noqa: E402
from kernel import address, pointer, text                   # noqa: E402

PAGES_SHOWN = 16


class Command(gdb.Command):
    """A command whose help is its class's docstring."""
    name = ""

    def __init__(self):
        super().__init__(self.name, gdb.COMMAND_DATA,
                         gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        self.dont_repeat()
        try:
            with kernel.as_kernel():
                self.run(argument.strip())
        except gdb.MemoryError as error:
            raise kernel.Unreadable(f"{self.name}: {error}; before the "
                                    "kernel runs from its own tables, and "
                                    "of a bad pointer, nothing can be "
                                    "read") from None

    def run(self, argument):
        raise NotImplementedError


def say(line=""):
    gdb.write(line + "\n")


# ---- pal-ps ----------------------------------------------------------------

class Threads(Command):
    """pal-ps: processes and their threads, then the kernel's threads.

A * marks the thread that runs.  A thread that sleeps is followed by the
word that it waits for and what that lies in."""
    name = "pal-ps"

    def run(self, argument):
        running = {address(cpu["current"]) for cpu in kernel.cpus()}
        told = set()
        say("  PID  PPID   TID  THREAD             STATE     NAME")
        for proc in kernel.processes():
            parent = proc["parent"]
            ids = (f"{int(proc['pid']):5} "
                   f"{int(parent['pid']) if address(parent) else 0:5}")
            name = kernel.array_text(proc["name"])
            state = kernel.enum_name("enum proc_state", proc["state"],
                                     "PROC_")
            threads = list(kernel.links(proc["threads"], "sibling"))
            for thread in threads:
                told.add(address(thread))
                self.thread(ids, thread, name, running)
                ids = " " * len(ids)
            if not threads:
                say(f"{ids} {'-':>5}  {'-':18} {state:9} {name}")
        for thread in kernel.threads():
            if address(thread) not in told:
                self.thread(f"{'-':>5} {'-':>5}", thread,
                            text(thread["name"]) or "(boot)", running)

    def thread(self, ids, thread, name, running):
        state = kernel.enum_name("enum thread_state", thread["state"],
                                 "THREAD_")
        own = thread["unix_thread"]
        tid = "-"
        if address(own):
            tid = int(pointer("struct unix_thread", address(own))["tid"])
        mark = "*" if address(thread) in running else " "
        word = address(thread["wait_word"])
        wait = ""
        if state == "sleeping" and word:
            wait = f"  on {word:#x} {kernel.whose(word)}"
        say(f"{ids} {tid:>5} {mark}{address(thread):#018x} {state:9} "
            f"{name}{wait}")


# ---- pal-map ---------------------------------------------------------------

class Map(Command):
    """pal-map [MAP]: the entries of an address map, in order.

MAP is a process number, or an expression for a struct vm_map, proc or
thread; without it, the running thread's.  object and page: what the entry
shows; pal-object goes on from there."""
    name = "pal-map"

    def run(self, argument):
        found = kernel.find_map(argument)
        locked = " locked" if int(found["lock"]["word"]) else ""
        say(f"map {address(found):#x} pmap {address(found['pmap']):#x} "
            f"refs {int(found['ref_count'])} "
            f"sequence {int(found['seq']['count'])}{locked}")
        flags = [(name, mask) for name, mask in
                 kernel.masks("mi/vm_map.h", "VM_ATTR_")]
        count = 0
        for entry in kernel.links(found["first"], "next"):
            self.entry(entry, flags)
            count += 1
        say(f"{count} entries, {int(found['size']) >> 10} KiB")
        if count != int(found["entries"]):
            say(f"but the map counts {int(found['entries'])}")

    def entry(self, entry, flags):
        attr = int(entry["attr"])
        inherit = kernel.enum_name("enum vm_inherit", attr >> 6 & 3,
                                   "VM_INHERIT_")
        words = kernel.names_of(attr & ~0xff, flags).replace("_", "-")
        wired = int(entry["wired_count"])
        if address(entry["object"]):
            shows = (f"object {address(entry['object']):#x} page "
                     f"{int(entry['pgno'])}")
        else:
            shows = "untouched"
        say(f" {int(entry['start']):#018x}-{int(entry['end']):#018x} "
            f"{kernel.prot(attr & 7)} max {kernel.prot(attr >> 3 & 7)} "
            f"{inherit} {shows}" + (f" {words}" if words != "-" else "")
            + (f" x{wired}" if wired else ""))


# ---- pal-object ------------------------------------------------------------

def slots(radix):
    """(page number, slot) of everything in a struct vm_radix."""
    height = int(radix["height"])
    if int(radix["count"]) == 0:
        return
    if height == 0:
        yield int(radix["key"]), address(radix["root"])
        return
    work = [(address(radix["root"]), 0, height)]
    while work:
        at, key, level = work.pop(0)
        if level == 0:
            yield key, at
            continue
        node = pointer("struct vm_radix_node", at)
        low, high = node["slot"].type.range()
        work[:0] = [(int(node["slot"][i]), key * (high + 1) + i, level - 1)
                    for i in range(low, high + 1)
                    if int(node["used"]) >> i & 1]


class Object(Command):
    """pal-object ADDRESS [all]: a memory object and its shadow chain.

For each object: flags, references (the owner's, fronts'), size, where its
page 0 is in the one below, and its first pages; with "all", every page."""
    name = "pal-object"

    def run(self, argument):
        words, _, rest = argument.rpartition(" ")
        everything = rest == "all" and bool(words)
        if not everything:
            words = argument
        if not words:
            raise kernel.Unreadable("pal-object ADDRESS; pal-map shows them")
        value = kernel.as_pointer(kernel.evaluate(words))
        flags = kernel.masks("mi/vm_object.h", "VM_OBJ_")
        page_flags = kernel.masks("mi/vm_page.h", "VM_PG_")
        page_flags = [f for f in page_flags if not f[0].endswith("LOCK")]
        chain = kernel.links(pointer("struct vm_object", address(value)),
                             "shadow")
        for depth, obj in enumerate(chain):
            self.object(depth, obj, flags)
            self.pages(obj, page_flags, everything)

    def object(self, depth, obj, flags):
        refs = (f"refs {int(obj['ref_count'])} (owner "
                f"{int(obj['owner_refs'])}, fronts "
                f"{int(obj['front_count'])})")
        say(f"{'' if depth == 0 else 'shadow '}object {address(obj):#x} "
            f"{kernel.names_of(int(obj['flags']), flags)}")
        more = ""
        if address(obj["shadow"]):
            more += f", at page {int(obj['shadow_pgno'])} of the next"
        if address(obj["pager"]):
            name = kernel.whose(address(obj["pager"]["ops"]))
            more += f", pager {address(obj['pager']):#x} {name}"
        if address(obj["copy"]):
            more += f", snapshot {address(obj['copy']):#x}"
        if int(obj["lock"]["word"]):
            more += ", locked"
        say(f"  {refs}, {int(obj['npages'])} pages{more}")

    def pages(self, obj, flags, everything):
        total = int(obj["pages"]["count"])
        for n, (key, slot) in enumerate(slots(obj["pages"])):
            if n == PAGES_SHOWN and not everything:
                say(f"  ... {total} in all")
                return
            if slot & 1:
                say(f"  page {key}: swap slot {slot >> 1}")
                continue
            page = pointer("struct vm_page", slot)
            say(f"  page {key}: {kernel.frame_pa(page):#x} "
                f"{kernel.names_of(int(page['flags']), flags)}"
                + (f" wired {int(page['wire_count'])}"
                   if int(page["wire_count"]) else ""))


# ---- pal-page --------------------------------------------------------------

class Page(Command):
    """pal-page PA: the core map entry of a frame.

PA is a physical address, an address in the direct map, or an expression
for a struct vm_page."""
    name = "pal-page"

    def run(self, argument):
        if not argument:
            raise kernel.Unreadable("pal-page PA")
        value = kernel.as_pointer(kernel.evaluate(argument))
        if kernel.target_name(value) == "vm_page":
            page, pa = value, kernel.frame_pa(value)
        else:
            pa = address(value)
            if pa >= kernel.direct_base():
                pa -= kernel.direct_base()
            page = kernel.frame_of(pa)
            if page is None:
                raise kernel.Unreadable(f"{pa:#x} is not in the core map: "
                                        "no RAM")
        kind = kernel.enum_name("enum vm_page_kind", page["kind"],
                                "VM_PAGE_")
        flags = kernel.masks("mi/vm_page.h", "VM_PG_")
        locks = [f for f in flags if f[0].endswith("_LOCK")]
        flags = [f for f in flags if not f[0].endswith("_LOCK")]
        start = pa >> kernel.page_shift() << kernel.page_shift()
        say(f"page {address(page):#x}: frame {start:#x} {kind}, "
            f"flags {kernel.names_of(int(page['flags']), flags)}, "
            f"locks {kernel.names_of(int(page['lockword']), locks)}")
        show = getattr(self, kind, None)
        if show:
            show(page)

    def object(self, page):
        say(f"  page {int(page['pgno'])} of object "
            f"{address(page['object']):#x}, wired {int(page['wire_count'])}"
            + (f", pager forbids {kernel.prot(int(page['forbidden']))}"
               if int(page["forbidden"]) else ""))
        hints = [(page["pv"]["pm"], page["pv"]["va"])]
        chunks = kernel.links(page["pv"]["more"], "next") \
            if address(page["pv"]["more"]) else ()
        for chunk in chunks:
            low, high = chunk["slot"].type.range()
            hints += [(chunk["slot"][i]["pm"], chunk["slot"][i]["va"])
                      for i in range(low, high + 1)]
        for pmap, va in hints:
            if address(pmap):
                say(f"  perhaps mapped: pmap {address(pmap):#x} at "
                    f"{int(va):#x}{self.owner(pmap)}")

    def owner(self, pmap):
        for proc in kernel.processes():
            if address(proc["map"]) and \
                    address(proc["map"]["pmap"]) == address(pmap):
                return f" of process {int(proc['pid'])}"
        return ""

    def table(self, page):
        private = page["private"].address.cast(
            gdb.lookup_type("struct pt_frame").pointer())
        form = tables.Format(int(private["geo"]))
        say(f"  table of level {int(private['level'])}, format "
            f"{form.name}")

    def kernel(self, page):
        zone = page["zone"]
        if address(zone):
            say(f'  slab of zone "{text(zone["name"])}", '
                f"{int(page['slab_used'])} of {int(zone['per_slab'])} "
                f"items of {int(zone['size'])} bytes in use")


# ---- pal-walk --------------------------------------------------------------

class Walk(Command):
    """pal-walk [MAP] VA: the page-table entries that lead to an address.

MAP as for pal-map, or an expression for a struct pmap; an address of the
kernel is walked in the kernel's own pmap.  Where it ends in a leaf, the
last line says where the bytes can be read."""
    name = "pal-walk"

    def run(self, argument):
        words = gdb.string_to_argv(argument)
        if len(words) not in (1, 2):
            raise kernel.Unreadable("pal-walk [MAP] VA")
        va = address(kernel.evaluate(words[-1]))
        pmap = self.pmap(words[0] if len(words) == 2 else "", va)
        root, form = tables.store(pmap)
        if root is None:
            say(f"pmap {address(pmap):#x} has no table: nothing is mapped")
            return
        say(f"pmap {address(pmap):#x} format {form.name} root {root:#x} "
            f"asid {int(pmap['asid']) & 0xffff}")
        for step in tables.walk(root, form, va):
            leads = f" -> {step.pa:#x}" if step.pa else ""
            say(f" level {step.level} entry {step.at:#x}: "
                f"{step.pte:#018x} {step.kind}{leads} {step.bits}".rstrip())
            if step.kind == "leaf":
                say(f" {va:#x} is {step.pa:#x}, to be read at "
                    f"{kernel.direct_base() + step.pa:#x}")

    def pmap(self, words, va):
        if va >> 63:
            return kernel.symbol("pmap_kernel_pmap")
        if words:
            value = kernel.as_pointer(kernel.evaluate(words))
            if kernel.target_name(value) == "pmap":
                return value
        return kernel.find_map(words)["pmap"]


# ---- pal-locks -------------------------------------------------------------

class Locks(Command):
    """pal-locks [THREAD]: the ranks of the locks that a thread holds.

Without THREAD, the running one.  Debug kernels count each acquisition by
its rank (docs/locking.md); which lock of a rank it is, the pointers in the
backtrace say."""
    name = "pal-locks"

    def run(self, argument):
        thread = kernel.current()
        if argument:
            value = kernel.as_pointer(kernel.evaluate(argument))
            thread = pointer("struct thread", address(value))
        head = thread["head"]
        state = kernel.enum_name("enum thread_state", thread["state"],
                                 "THREAD_")
        say(f"thread {address(thread):#x} "
            f"{text(thread['name']) or '(boot)'}, {state}, preemption "
            f"disabled {int(head['preempt'])} deep")
        word = address(thread["wait_word"])
        if state == "sleeping" and word:
            say(f"  waits on {word:#x} {kernel.whose(word)}")
        if not kernel.has("vm_held_acquire"):
            say("  a release kernel counts no locks")
            return
        names = self.ranks()
        held = head["held"]
        low, high = held.type.range()
        holds = [(i, int(held[i])) for i in range(low, high + 1)
                 if int(held[i])]
        for rank, count in holds:
            say(f"  holds {names.get(rank, rank)}"
                + (f" {count} times" if count > 1 else ""))
        if not holds:
            say("  holds no lock")

    def ranks(self):
        """rank -> name; the kernel's own ranks lie around the core's."""
        names = {}
        for kind, prefix in (("enum vm_rank", "VM_RANK_"),
                             ("enum kern_rank", "KERN_RANK_")):
            for field in gdb.lookup_type(kind).fields():
                names[field.enumval] = field.name.removeprefix(
                    prefix).lower()
        return names


for command in (Threads, Map, Object, Page, Walk, Locks):
    command()
gdb.execute("set pagination off")
gdb.execute("set print pretty on")
