# SPDX-License-Identifier: BSD-2-Clause
#
# The kernels, one per architecture and flavour, in
# build/kernel/<arch>/<flavour>/: "kernel" is the ELF file, "kernel.bin" the
# flat image that QEMU's aarch64 machine boots.
#
#   debug    assertions and lock checks: what user tests run on
#   test     that, the hooks, and tests/kernel with the contract suite
#   release  what ships: what is counted and shown
#
# A kernel is linked twice: the symbol table of its own functions, for the
# backtrace of a panic, can only be made (tools/ksyms.py) of a linked kernel.
set(PAL_KERNEL_FLAVOURS debug test release)
set(PAL_KERNEL_FLAGS_debug -O2 -g -DVM_DEBUG=1 -DVM_TEST=0)
set(PAL_KERNEL_FLAGS_test -O2 -g -DVM_DEBUG=1 -DVM_TEST=1)
# Link-time optimisation is worth a tenth of a fault, no frame pointers
# half of that; a panic then looks for return addresses on the stack.
set(PAL_KERNEL_FLAGS_release -O2 -g -flto -fomit-frame-pointer
    -DVM_DEBUG=0 -DVM_TEST=0)
set(PAL_KERNEL_LINK_release -flto -O2)

set(PAL_OUT ${_root}/build)
set(_ksyms ${_root}/tools/ksyms.py)

# Assembly saves the registers that C must not use.
set(PAL_KERNEL_ASM_riscv64 -march=rv64imafdc -mabi=lp64)

find_program(PAL_NM llvm-nm)
find_program(PAL_OBJCOPY llvm-objcopy)

file(GLOB PAL_KERN CONFIGURE_DEPENDS ${_root}/kern/*.c
    ${_root}/kern/unix/*.c ${_root}/kern/mach/*.c ${_root}/boot/common/*.c)
# The laws that need more than one CPU stay on the host.
file(GLOB PAL_KERNEL_TESTS CONFIGURE_DEPENDS ${_root}/tests/kernel/*.c
    ${_root}/tests/contract/laws*.c
    ${_root}/tests/contract/contract_space.c)
list(FILTER PAL_KERNEL_TESTS EXCLUDE REGEX "/laws(_smp|_paging|_run)?\\.c$")

# pal_kernel_options(target arch flavour)
function(pal_kernel_options target arch flavour)
    set(c ${PAL_KERNEL_C} ${PAL_CROSS_FLAGS_${arch}} -nostdinc
        -isystem ${PAL_RESOURCE_DIR}/include)
    target_compile_options(${target} PRIVATE --target=${arch}-linux-gnu
        -fno-pic -fno-pie -fno-omit-frame-pointer -fno-strict-aliasing
        -fno-stack-protector "-fmacro-prefix-map=${_root}/="
        ${PAL_KERNEL_FLAGS_${flavour}}
        "$<$<COMPILE_LANGUAGE:C>:${c}>"
        "$<$<COMPILE_LANGUAGE:ASM>:-Werror;${PAL_KERNEL_ASM_${arch}}>")
    target_include_directories(${target} PRIVATE ${_root}/boot/${arch}
        ${_root}/boot/common ${_root}/kern ${_root}/kern/unix
        ${_root}/kern/mach ${_root}/mi ${_root}/pmap/common
        ${_root}/pmap/${arch})
    if(flavour STREQUAL "test")
        target_include_directories(${target} PRIVATE ${_root}/tests/kernel
            ${_root}/tests/contract)
    endif()
endfunction()

# pal_kernel_link(target arch objects... ): an ELF linked by kernel.ld.
function(pal_kernel_link target arch flavour)
    set(script ${_root}/boot/${arch}/kernel.ld)
    target_link_options(${target} PRIVATE --target=${arch}-linux-gnu
        ${PAL_KERNEL_LINK_${flavour}} -fuse-ld=lld -nostdlib -static -Wl,--build-id=none
        -Wl,-z,max-page-size=4096 -Wl,-T,${script})
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${script})
endfunction()

# pal_kernel(arch flavour): the target kernel-<arch>-<flavour>.
function(pal_kernel arch flavour)
    set(name kernel-${arch}-${flavour})
    set(out ${PAL_OUT}/kernel/${arch}/${flavour})
    file(GLOB port CONFIGURE_DEPENDS ${_root}/boot/${arch}/*.[cS]
        ${_root}/pmap/${arch}/*.c)
    set(tests)
    if(flavour STREQUAL "test")
        set(tests ${PAL_KERNEL_TESTS})
    endif()
    add_library(${name}-objects OBJECT ${PAL_KERN} ${PAL_MI} ${PAL_PMAP}
        ${port} ${tests})
    pal_kernel_options(${name}-objects ${arch} ${flavour})

    set(objects $<TARGET_OBJECTS:${name}-objects>)
    if(EXISTS ${_ksyms})
        add_executable(${name}-first ${objects})
        pal_kernel_link(${name}-first ${arch} ${flavour})
        set_target_properties(${name}-first PROPERTIES LINKER_LANGUAGE C
            OUTPUT_NAME kernel RUNTIME_OUTPUT_DIRECTORY ${name})
        set(symbols ${PROJECT_BINARY_DIR}/${name}/symbols.S)
        add_custom_command(OUTPUT ${symbols}
            COMMAND ${Python3_EXECUTABLE} ${_ksyms} ${PAL_NM}
                $<TARGET_FILE:${name}-first> ${symbols}
            DEPENDS ${name}-first ${_ksyms} VERBATIM)
        list(APPEND objects ${symbols})
    endif()
    add_executable(${name} ${objects})
    pal_kernel_options(${name} ${arch} ${flavour})
    pal_kernel_link(${name} ${arch} ${flavour})
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C
        OUTPUT_NAME kernel RUNTIME_OUTPUT_DIRECTORY ${out})
    add_custom_command(TARGET ${name} POST_BUILD
        COMMAND ${PAL_OBJCOPY} -O binary ${out}/kernel ${out}/kernel.bin
        BYPRODUCTS ${out}/kernel.bin VERBATIM)
    if(symbols)
        # The table moved no function, or a backtrace would lie.
        add_custom_command(TARGET ${name} POST_BUILD
            COMMAND ${Python3_EXECUTABLE} ${_ksyms} --check ${PAL_NM}
                ${out}/kernel ${symbols} VERBATIM)
    endif()
endfunction()

# pal_booted_test(name suite arch flavour ..): a run in a booted kernel.
function(pal_booted_test name suite arch flavour)
    cmake_parse_arguments(arg "" "TARGET;TIMEOUT;LONG_TIMEOUT;LONG_ARGS"
        "COMMAND" ${ARGN})
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT ${PAL_TIMEOUT})
    endif()
    if(NOT arg_LONG_TIMEOUT)
        set(arg_LONG_TIMEOUT ${PAL_LONG_TIMEOUT})
    endif()
    pal_test(${name} ${suite} TARGET ${arg_TARGET} TIMEOUT ${arg_TIMEOUT}
        COMMAND ${arg_COMMAND} LABELS ${arch} ${flavour} booted-${arch}
        ENV "PAL_LONG_ARGS=${arg_LONG_ARGS}"
            PAL_LONG_TIMEOUT=${arg_LONG_TIMEOUT})
endfunction()

foreach(arch IN LISTS PAL_ARCHES)
    # cmake --build build/host --target riscv64: its kernels and programs.
    add_custom_target(${arch})
    if(NOT EXISTS ${_root}/boot/${arch}/kernel.ld OR NOT PAL_KERN)
        continue()
    endif()
    foreach(flavour IN LISTS PAL_KERNEL_FLAVOURS)
        pal_kernel(${arch} ${flavour})
        add_dependencies(${arch} kernel-${arch}-${flavour})
    endforeach()
endforeach()

# Each pal line of tests/kernel/k_*.c is one run an architecture (a boot costs
# a second), called by the file and the line's name=; without a line there is
# one run.  k_contract.c is the contract suite's.  A line may give name=,
# arches=, timeout=, long-timeout=, options= and mem= (cmake/user.cmake).
file(GLOB PAL_KERNEL_CASES CONFIGURE_DEPENDS ${_root}/tests/kernel/k_*.c)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${PAL_KERNEL_CASES})

# pal_kernel_test(name suite arch pattern line)
function(pal_kernel_test name suite arch pattern line)
    set(_keys name arches timeout long-timeout mem options)
    pal_parse_line(${name} "${line}")
    if(pal_arches)
        pal_choices(arches ${name} architecture "${pal_arches}"
            "${PAL_ARCHES}")
        if(NOT arch IN_LIST arches)
            return()
        endif()
    endif()
    if(pal_name)
        string(APPEND name ".${pal_name}")
    endif()
    set(command ${Python3_EXECUTABLE} tools/kernel_test.py --arch ${arch})
    foreach(key mem options)
        if(pal_${key})
            list(APPEND command --${key} ${pal_${key}})
        endif()
    endforeach()
    pal_booted_test(${name} ${suite} ${arch} test
        TARGET kernel-${arch}-test TIMEOUT "${pal_timeout}"
        LONG_TIMEOUT "${pal_long-timeout}"
        COMMAND ${command} --cases ${pattern})
endfunction()

foreach(arch IN LISTS PAL_ARCHES)
    if(NOT TARGET kernel-${arch}-test)
        continue()
    endif()
    foreach(source IN LISTS PAL_KERNEL_CASES)
        get_filename_component(stem ${source} NAME_WE)
        file(STRINGS ${source} lines REGEX "^ *(/\\*|\\*|//) *pal:")
        if(NOT lines)
            set(lines "/* pal: */")
        endif()
        set(name kernel/${arch}/test/${stem})
        set(suite kernel)
        if(stem STREQUAL "k_contract")
            set(name contract/${arch}/kernel/laws)
            set(suite contract)
        endif()
        foreach(line IN LISTS lines)
            pal_kernel_test(${name} ${suite} ${arch} ${stem} "${line}")
        endforeach()
    endforeach()
endforeach()
