# SPDX-License-Identifier: BSD-2-Clause
#
# Flavours: one set of flags each.  CMAKE_BUILD_TYPE stays empty, so that
# what stands here is all there is.
#
#   debug    sanitizers, assertions, test hooks: what most tests run in
#   tsan     the same under ThreadSanitizer
#   opt      assertions and hooks at speed: for long randomized runs
#   fuzz     debug, instrumented for libFuzzer
#   release  what a kernel would ship: for counting instructions
set(PAL_FLAVOURS debug tsan opt fuzz release)

set(_hooks -DVM_DEBUG=1 -DVM_TEST=1)
set(_trap_all -fno-sanitize-recover=all -fno-omit-frame-pointer)

set(PAL_FLAGS_debug -O1 -g -fsanitize=address,undefined ${_trap_all} ${_hooks})
set(PAL_FLAGS_tsan -O1 -g -fsanitize=thread ${_trap_all} ${_hooks})
set(PAL_FLAGS_opt -O2 -g ${_hooks})
set(PAL_FLAGS_fuzz -O1 -g -fsanitize=fuzzer-no-link,address,undefined
    ${_trap_all} ${_hooks})
# DWARF 4: the newest that Debian 12's valgrind reads.
set(PAL_FLAGS_release -O2 -gdwarf-4 -DVM_DEBUG=0 -DVM_TEST=0)

set(PAL_LINK_debug -fsanitize=address,undefined)
set(PAL_LINK_tsan -fsanitize=thread)
set(PAL_LINK_opt)
set(PAL_LINK_fuzz -fsanitize=fuzzer,address,undefined)
# Lazy binding would be counted with the first operation.
set(PAL_LINK_release -Wl,-z,now)

set(PAL_WARNINGS -Wall -Wextra -Werror -Wmissing-prototypes -Wshadow
    -Wstrict-prototypes -fno-common -fdiagnostics-color=auto)

# mi/, pmap/common and pmap/<arch> are kernel code; what surrounds them on
# the host is an ordinary program.
set(PAL_KERNEL_C -std=c11 -ffreestanding ${PAL_WARNINGS})
set(PAL_HOST_C -std=gnu11 -pthread ${PAL_WARNINGS})

# Sanitizer shadow memory and a wide address space randomization do not go
# together with Clang 14, so such programs run without it where possible.
execute_process(COMMAND setarch -R true RESULT_VARIABLE _no_setarch
    OUTPUT_QUIET ERROR_QUIET)
if(_no_setarch EQUAL 0)
    set(PAL_LAUNCH_debug setarch -R)
    set(PAL_LAUNCH_tsan setarch -R)
    set(PAL_LAUNCH_fuzz setarch -R)
endif()

set(_ubsan UBSAN_OPTIONS=print_stacktrace=1)
set(PAL_ENV_debug ${_ubsan})
set(PAL_ENV_fuzz ${_ubsan})
set(PAL_ENV_tsan TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1)

# cmake --build build/host --target debug: all programs of one flavour.
foreach(flavour IN LISTS PAL_FLAVOURS)
    add_custom_target(${flavour})
endforeach()
