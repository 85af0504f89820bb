# SPDX-License-Identifier: BSD-2-Clause
"""What the commands of tools/gdb read from a kernel: its structures by their
debug information, its masks and macros from the headers that define them, so
that nothing here can be out of step with the code.

All memory is read as the stopped CPU sees it, so a CPU that is stopped in
user mode is given the kernel's eyes meanwhile (as_kernel).  User memory is
read through the direct map.
"""

import contextlib
import os
import re

import gdb

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
ARCHES = {"i386:x86-64": "x86_64", "aarch64": "aarch64",
          "riscv:rv64": "riscv64"}
U64 = (1 << 64) - 1


class Unreadable(gdb.GdbError):
    """Said to the user without a traceback."""


def arch():
    name = gdb.selected_inferior().architecture().name()
    if name not in ARCHES:
        raise Unreadable(f"no kernel of Palimpsest: architecture {name}")
    return ARCHES[name]


def symbol(name):
    """The value of a variable, whether it is static or not."""
    found = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if found is None:
        raise Unreadable(f"this kernel has no {name}; give gdb its ELF file")
    return found.value()


def has(name):
    return gdb.lookup_global_symbol(name) is not None


def address(value):
    """A pointer's or integer's bits."""
    return int(value.cast(gdb.lookup_type("unsigned long"))) & U64 \
        if isinstance(value, gdb.Value) else value & U64


def pointer(type_name, at):
    """at as a pointer to that structure."""
    return gdb.Value(at).cast(gdb.lookup_type(type_name).pointer())


def text(value):
    """A C string, or ''."""
    try:
        return value.string(errors="replace") if address(value) else ""
    except gdb.MemoryError:
        return "?"


def array_text(value):
    """What stands in a char array up to its 0."""
    low, high = value.type.range()
    data = bytes(int(value[i]) & 255 for i in range(low, high + 1))
    return data.split(b"\0")[0].decode(errors="replace")


def links(first, field):
    """A list that ends in NULL; no longer than any list can be."""
    seen = set()
    while address(first) != 0:
        if address(first) in seen:
            raise Unreadable(f"the list runs in a circle at "
                             f"{address(first):#x}")
        seen.add(address(first))
        yield first
        first = first[field]


# ---- headers ---------------------------------------------------------------

def header(path):
    with open(os.path.join(ROOT, path)) as file:
        return file.read()


def masks(path, prefix):
    """[(name, mask)] of '#define <prefix>NAME 0x80u'."""
    found = re.findall(rf"^#define {prefix}(\w+)\s+(0x[0-9a-fA-F]+|\d+)u\b",
                       header(path), re.M)
    return [(name, int(value, 0)) for name, value in found]


def names_of(value, table):
    """The names of the bits that are set; '-' for none."""
    words = [name.lower() for name, mask in table if value & mask]
    left = value & ~sum(mask for _, mask in table)
    return " ".join(words + ([f"{left:#x}"] if left else [])) or "-"


def enum_name(type_name, value, prefix):
    """An enumerator without its prefix, in small letters."""
    for field in gdb.lookup_type(type_name).fields():
        if field.enumval == int(value):
            return field.name.removeprefix(prefix).lower()
    return str(int(value))


def prot(bits):
    return "".join(letter if bits >> i & 1 else "-"
                   for i, letter in enumerate("rwx"))


# ---- memory ----------------------------------------------------------------

# Where the stub honours the CPU's privilege: register, mask, the kernel's.
PRIVILEGE = {"aarch64": ("cpsr", 0xf, 0x5), "riscv64": ("priv", 0x3, 0x1)}


@contextlib.contextmanager
def as_kernel():
    """Memory is read with the kernel's rights; nothing else may run."""
    name, mask, mode = PRIVILEGE.get(arch(), ("", 0, 0))
    old = int(gdb.parse_and_eval(f"${name}")) if name else 0
    if not name or old & mask:
        yield
        return
    gdb.execute(f"set ${name} = {old & ~mask | mode}")
    try:
        yield
    finally:
        gdb.execute(f"set ${name} = {old}")


def direct_base():
    found = re.search(r"^#define MD_DIRECT_BASE\s+(0x[0-9a-f]+)",
                      header(f"boot/{arch()}/md_cpu.h"), re.M)
    return int(found[1], 16)


def page_shift():
    return int(symbol("vm_page_shift"))


def read_word(pa):
    """8 bytes of physical memory."""
    at = direct_base() + pa
    try:
        data = gdb.selected_inferior().read_memory(at, 8)
    except gdb.MemoryError:
        raise Unreadable(f"cannot read {at:#x}: is {pa:#x} RAM, and is the "
                         "kernel past its boot?") from None
    return int.from_bytes(bytes(data), "little")


def frame_of(pa):
    """The core map entry of a physical address, or None."""
    index = (pa >> page_shift()) - int(symbol("vm_page_first"))
    if not 0 <= index < int(symbol("vm_page_count")):
        return None
    return symbol("vm_page_array") + index


def frame_pa(page):
    """The inverse: of a struct vm_page *."""
    index = page - symbol("vm_page_array")
    if not 0 <= int(index) < int(symbol("vm_page_count")):
        raise Unreadable(f"{address(page):#x} is not in the core map")
    return (int(symbol("vm_page_first")) + int(index)) << page_shift()


def whose(va):
    """What a kernel address lies in: a zone's name, or a symbol."""
    base = direct_base()
    page = frame_of(va - base) if base <= va < base + (1 << 46) else None
    if page is not None and int(page["kind"]) == kind("KERNEL"):
        zone = page["zone"]
        return f'zone "{text(zone["name"])}"' if address(zone) else "memory"
    found = gdb.execute(f"info symbol {va:#x}", to_string=True)
    return "" if found.startswith("No symbol") else found.split(" in sec")[0]


def kind(name):
    for field in gdb.lookup_type("enum vm_page_kind").fields():
        if field.name == f"VM_PAGE_{name}":
            return field.enumval
    raise Unreadable(f"no kind of frame is {name}")


# ---- threads and processes -------------------------------------------------

def processes():
    """struct proc *, by number."""
    table = symbol("proc_hash")
    low, high = table.type.range()
    found = [p for i in range(low, high + 1)
             for p in links(table[i], "hash_next")]
    return sorted(found, key=lambda p: int(p["pid"]))


def cpus():
    """struct sched_cpu of each CPU that runs."""
    table = symbol("sched_cpus")
    low, high = table.type.range()
    return [table[i] for i in range(low, high + 1)
            if address(table[i]["current"])]


def current():
    """The thread of the stopped CPU."""
    running = cpus()
    if not running:
        raise Unreadable("no thread runs yet: the kernel is still booting")
    chosen = gdb.selected_thread()
    number = chosen.num - 1 if chosen is not None else 0
    return running[number if number < len(running) else 0]["current"]


def threads():
    """Every struct thread *: of the CPUs, of processes, in queues."""
    found = {}

    def add(thread):
        if address(thread):
            found.setdefault(address(thread), thread)

    for cpu in cpus():
        add(cpu["idle"])
        add(cpu["current"])
        for queue, link in (("head", "next"), ("time_head", "time_next")):
            for thread in links(cpu[queue], link):
                add(thread)
    for proc in processes():
        for thread in links(proc["threads"], "sibling"):
            add(thread)
    table = symbol("buckets")
    low, high = table.type.range()
    for i in range(low, high + 1):
        for thread in links(table[i]["head"], "next"):
            add(thread)
    return list(found.values())


# ---- what a person types ---------------------------------------------------

def evaluate(words):
    return gdb.parse_and_eval(words)


def target_name(value):
    """'vm_map' for a struct vm_map * (or the structure itself)."""
    plain = value.type.strip_typedefs()
    if plain.code == gdb.TYPE_CODE_PTR:
        plain = plain.target().strip_typedefs()
    return plain.tag or ""


def as_pointer(value):
    if value.type.strip_typedefs().code == gdb.TYPE_CODE_STRUCT:
        return value.address
    return value


def find_map(words):
    """The struct vm_map * that a process number, or an expression for a map,
    a process or a thread, means; '': of the running thread."""
    if not words:
        found = current()["map"]
        if not address(found):
            raise Unreadable("the running thread has no map; name one")
        return found
    value = as_pointer(evaluate(words))
    name = target_name(value)
    if name in ("proc", "thread"):
        found = value["map"]
    elif name == "vm_map":
        found = value
    elif address(value) >> 32 == 0:
        found = [p["map"] for p in processes()
                 if int(p["pid"]) == address(value)]
        if not found:
            raise Unreadable(f"no process has the number {words}")
        found = found[0]
    else:
        found = pointer("struct vm_map", address(value))
    if not address(found):
        raise Unreadable(f"{words} has no map")
    return found
