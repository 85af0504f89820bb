# SPDX-License-Identifier: BSD-2-Clause
#
# Machines: what a host test runs on.  Three have the page tables of a real
# architecture, walked by the simulated MMU; two are toys whose MMU is no
# radix tree, which keep pmap.h honest.
set(PAL_ARCHES x86_64 aarch64 riscv64)
set(PAL_TOYS soft hash)
set(PAL_MACHINES ${PAL_ARCHES} ${PAL_TOYS})

set(_root ${PROJECT_SOURCE_DIR})
file(GLOB PAL_MI CONFIGURE_DEPENDS ${_root}/mi/*.c)
file(GLOB PAL_PMAP CONFIGURE_DEPENDS ${_root}/pmap/common/*.c)
file(GLOB PAL_SIM CONFIGURE_DEPENDS ${_root}/pmap/sim/*.c)
list(FILTER PAL_SIM EXCLUDE REGEX "/toy_[^/]*$")
file(GLOB PAL_HOST CONFIGURE_DEPENDS ${_root}/tests/host/*.c)

# pal_includes(out machine): the include directories of all but mi/.
function(pal_includes out machine)
    set(arch ${_root}/pmap/${machine})
    if(machine IN_LIST PAL_TOYS)
        set(arch ${_root}/pmap/sim/toy)
    endif()
    set(${out} ${_root}/mi ${_root}/pmap/common ${arch} ${_root}/pmap/sim
        ${_root}/tests/host PARENT_SCOPE)
endfunction()

# pal_objects(name flavour SOURCES .. FLAGS .. INCLUDES .. DEFINES ..)
function(pal_objects name flavour)
    cmake_parse_arguments(arg "" "" "SOURCES;FLAGS;INCLUDES;DEFINES" ${ARGN})
    if(TARGET ${name} OR NOT arg_SOURCES)
        return()
    endif()
    add_library(${name} OBJECT EXCLUDE_FROM_ALL ${arg_SOURCES})
    target_compile_options(${name} PRIVATE ${arg_FLAGS}
        ${PAL_FLAGS_${flavour}})
    target_include_directories(${name} PRIVATE ${arg_INCLUDES})
    target_compile_definitions(${name} PRIVATE ${arg_DEFINES})
endfunction()

# pal_machine(machine flavour): the library vm-<machine>-<flavour>, made on
# first use: VM core, pmap, simulated MMU and host shim.  The core is
# compiled once per flavour, without sight of any pmap's headers.  PMAP_SIM
# tells a port's pmap_md.h that the simulated MMU stands in for its hardware.
function(pal_machine machine flavour)
    set(name vm-${machine}-${flavour})
    if(TARGET ${name})
        return()
    endif()
    set(pmap ${PAL_PMAP})
    set(sim ${PAL_SIM})
    if(machine IN_LIST PAL_TOYS)
        # The radix store, pt_*.c, gives way to the toy's.
        list(FILTER pmap EXCLUDE REGEX "/pt_[^/]*\\.c$")
        list(APPEND sim ${_root}/pmap/sim/toy_${machine}.c
            ${_root}/pmap/sim/toy/toy_store.c)
    endif()
    pal_includes(includes ${machine})

    pal_objects(mi-${flavour} ${flavour} SOURCES ${PAL_MI}
        FLAGS ${PAL_KERNEL_C}
        INCLUDES ${_root}/mi ${_root}/tests/host ${_root}/pmap/sim)
    pal_objects(pmap-${machine}-${flavour} ${flavour} SOURCES ${pmap}
        FLAGS ${PAL_KERNEL_C} INCLUDES ${includes} DEFINES PMAP_SIM=1)
    pal_objects(host-${machine}-${flavour} ${flavour}
        SOURCES ${sim} ${PAL_HOST} FLAGS ${PAL_HOST_C} INCLUDES ${includes}
        DEFINES PMAP_SIM=1 PAL_MACHINE="${machine}")

    set(objects)
    foreach(part mi-${flavour} pmap-${machine}-${flavour}
            host-${machine}-${flavour})
        if(TARGET ${part})
            list(APPEND objects $<TARGET_OBJECTS:${part}>)
        endif()
    endforeach()
    add_library(${name} STATIC EXCLUDE_FROM_ALL ${objects})
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE C)
endfunction()
