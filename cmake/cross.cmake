# SPDX-License-Identifier: BSD-2-Clause
#
# The VM core and each real pmap, compiled for their machine as a kernel
# would, so that nothing is written that only the host can compile.  They
# are not linked; the run cross/<arch> checks what they would need from a
# kernel (tools/symbols.py).
set(PAL_CROSS_FLAGS_x86_64 -mno-red-zone -mgeneral-regs-only -mcmodel=kernel)
set(PAL_CROSS_FLAGS_aarch64 -mgeneral-regs-only -mno-outline-atomics)
set(PAL_CROSS_FLAGS_riscv64 -march=rv64imac -mabi=lp64 -mcmodel=medany)

# Clang's own freestanding headers and no others.
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-resource-dir
    OUTPUT_VARIABLE PAL_RESOURCE_DIR OUTPUT_STRIP_TRAILING_WHITESPACE)

foreach(arch IN LISTS PAL_ARCHES)
    file(GLOB port CONFIGURE_DEPENDS ${_root}/pmap/${arch}/*.c)
    if(NOT port OR NOT PAL_MI OR NOT PAL_PMAP)
        continue()
    endif()
    add_library(cross-${arch} STATIC ${PAL_MI} ${PAL_PMAP} ${port})
    target_compile_options(cross-${arch} PRIVATE
        --target=${arch}-linux-gnu -O2 -g -fno-pic -fno-pie -nostdinc
        -isystem ${PAL_RESOURCE_DIR}/include
        ${PAL_KERNEL_C} ${PAL_CROSS_FLAGS_${arch}})
    target_compile_definitions(cross-${arch} PRIVATE VM_DEBUG=1 VM_TEST=0)
    target_include_directories(cross-${arch} PRIVATE ${_root}/tests/cross
        ${_root}/mi ${_root}/pmap/common ${_root}/pmap/${arch})
    set_target_properties(cross-${arch} PROPERTIES
        ARCHIVE_OUTPUT_DIRECTORY cross)
    pal_test(cross/${arch} cross TARGET cross/libcross-${arch}.a
        COMMAND ${Python3_EXECUTABLE} tools/symbols.py
            $<TARGET_FILE:cross-${arch}> ${arch}
        LABELS ${arch})
endforeach()
