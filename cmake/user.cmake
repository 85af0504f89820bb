# SPDX-License-Identifier: BSD-2-Clause
#
# Programs for user mode: static Linux ELF files, made by the ordinary cross
# compilers and their libc, in build/user/<arch>/.  Each .c file of user/ and
# each u_*.c of tests/user is one; the other .c files of tests/user are linked
# into all tests there.  bench/vmbench/*.c are one program; so are
# user/stress/*.c with tests/flow/flow*.c.
#
# A test runs on the debug kernel of every architecture and prints KTAP on
# its standard output; lines near its top may say how (as in programs.cmake):
#
#   /* pal: mem=256M timeout=60 args="-n 5" options="page=65536" */
#   /* pal: name=low mem=64M arches=riscv64 file=tests/user/u_x.c:/x */
#
#   name=N, timeout=SECONDS, args="..."   as for host programs
#   long-args="...", long-timeout=SECONDS
#   arches=A,B          not all of them
#   flavours=A,B        kernels: of debug release (default debug)
#   mem=SIZE            of the machine (default 256M)
#   file=HOST[:GUEST]   a further file, relative to the project; several
#                       with blanks between them, quoted
#   options="k=v ..."   further options of the kernel
#   programs=A,B        other user programs to have in /bin
# Empty, so that a program may define it likewise itself.
# Tests reach for bad addresses on purpose.
set(PAL_USER_FLAGS -D_GNU_SOURCE= -O2 -g -static -Wall -Wextra -Werror
    -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread
    -Wno-nonnull
    -I${_root}/user/include -I${_root}/tests/user -I${_root}/tests/flow)
set(_user_keys name timeout args long-args long-timeout arches flavours mem
    file options programs)

file(GLOB PAL_USER CONFIGURE_DEPENDS ${_root}/user/*.c)
file(GLOB PAL_VMBENCH CONFIGURE_DEPENDS ${_root}/bench/vmbench/vmbench_*.c)
file(GLOB PAL_STRESS CONFIGURE_DEPENDS ${_root}/user/stress/stress_*.c
    ${_root}/tests/flow/flow*.c)
file(GLOB PAL_USER_TESTS CONFIGURE_DEPENDS ${_root}/tests/user/u_*.c)
file(GLOB PAL_USER_HELPERS CONFIGURE_DEPENDS ${_root}/tests/user/*.c)
list(FILTER PAL_USER_HELPERS EXCLUDE REGEX "/u_[^/]*$")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${PAL_USER_TESTS})

# The compiler for user programs of an architecture, in PAL_USER_CC_<arch>.
foreach(arch IN LISTS PAL_ARCHES)
    find_program(PAL_USER_CC_${arch} ${arch}-linux-gnu-gcc)
    if(NOT PAL_USER_CC_${arch} AND
            CMAKE_HOST_SYSTEM_PROCESSOR STREQUAL arch)
        find_program(PAL_USER_GCC gcc)
        set(PAL_USER_CC_${arch} ${PAL_USER_GCC})
    endif()
endforeach()

# pal_user(list arch source helpers): build/user/<arch>/<stem>, also named in
# the directory's property <list>.
function(pal_user list arch source helpers)
    get_filename_component(stem ${source} NAME_WE)
    set(out ${PAL_OUT}/user/${arch}/${stem})
    set(deps ${PROJECT_BINARY_DIR}/user-${arch}-${stem}.d)
    set(headers)
    if(helpers)
        # One command compiles several sources: no dependency file can
        # tell of them all.
        file(GLOB headers CONFIGURE_DEPENDS ${_root}/tests/user/*.h
            ${_root}/bench/*.h ${_root}/user/include/*.h
            ${_root}/user/include/*/*.h ${_root}/user/stress/*.h
            ${_root}/tests/flow/*.h)
        set(tell)
        set(depfile)
    else()
        set(tell -MD -MF ${deps} -MT ${out})
        set(depfile DEPFILE ${deps})
    endif()
    add_custom_command(OUTPUT ${out}
        COMMAND ${PAL_USER_CC_${arch}} ${PAL_USER_FLAGS} -pthread ${tell}
            -o ${out} ${source} ${helpers}
        DEPENDS ${source} ${helpers} ${headers} ${depfile}
        COMMENT "user/${arch}/${stem}" VERBATIM)
    set_property(DIRECTORY APPEND PROPERTY ${list} ${out})
endfunction()

# The runs of one test program, from its pal lines.
function(pal_user_tests arch source)
    get_filename_component(stem ${source} NAME_WE)
    file(STRINGS ${source} lines REGEX "^ *(/\\*|\\*|//) *pal:")
    if(NOT lines)
        set(lines "/* pal: */")
    endif()
    set(_keys ${_user_keys})
    foreach(line IN LISTS lines)
        pal_parse_line(${source} "${line}")
        set(arches ${PAL_ARCHES})
        set(flavours debug)
        if(pal_arches)
            pal_choices(arches ${source} architecture "${pal_arches}"
                "${PAL_ARCHES}")
        endif()
        if(pal_flavours)
            pal_choices(flavours ${source} flavour "${pal_flavours}"
                "debug;release")
        endif()
        if(NOT arch IN_LIST arches)
            continue()
        endif()
        set(command ${Python3_EXECUTABLE} tools/kernel_test.py --arch ${arch})
        foreach(key mem options programs)
            if(pal_${key})
                list(APPEND command --${key} ${pal_${key}})
            endif()
        endforeach()
        separate_arguments(files UNIX_COMMAND "${pal_file}")
        foreach(file IN LISTS files)
            list(APPEND command --file ${file})
        endforeach()
        separate_arguments(args UNIX_COMMAND "${pal_args}")
        foreach(arg IN LISTS args)
            list(APPEND command --arg=${arg})
        endforeach()
        foreach(flavour IN LISTS flavours)
            set(name user/${arch}/${flavour}/${stem})
            if(pal_name)
                string(APPEND name ".${pal_name}")
            endif()
            pal_booted_test(${name} user ${arch} ${flavour}
                TARGET user-${arch}-${flavour} TIMEOUT "${pal_timeout}"
                LONG_TIMEOUT "${pal_long-timeout}"
                LONG_ARGS "${pal_long-args}"
                COMMAND ${command} --kernel ${flavour}
                    ${PAL_OUT}/user/${arch}/${stem})
        endforeach()
    endforeach()
endfunction()

foreach(arch IN LISTS PAL_ARCHES)
    if(NOT PAL_USER_CC_${arch})
        message(STATUS "No ${arch}-linux-gnu-gcc: no user programs for "
            "${arch}")
        continue()
    endif()
    file(MAKE_DIRECTORY ${PAL_OUT}/user/${arch})
    foreach(source IN LISTS PAL_USER)
        pal_user(PAL_USER_${arch} ${arch} ${source} "")
    endforeach()
    pal_user(PAL_USER_${arch} ${arch} ${_root}/bench/vmbench/vmbench.c
        "${PAL_VMBENCH}")
    pal_user(PAL_USER_${arch} ${arch} ${_root}/user/stress/stress.c
        "${PAL_STRESS}")
    foreach(source IN LISTS PAL_USER_TESTS)
        pal_user(PAL_USER_TESTS_${arch} ${arch} ${source}
            "${PAL_USER_HELPERS}")
    endforeach()
    get_property(programs DIRECTORY PROPERTY PAL_USER_${arch})
    get_property(tests DIRECTORY PROPERTY PAL_USER_TESTS_${arch})
    # user-<arch>: what ./pal boot needs; user-<arch>-tests: the tests, too.
    add_custom_target(user-${arch} ALL DEPENDS ${programs})
    add_custom_target(user-${arch}-tests ALL DEPENDS ${tests})
    add_dependencies(user-${arch}-tests user-${arch})
    add_dependencies(${arch} user-${arch}-tests)
    # user-<arch>-<flavour>: that, and the kernel that the tests run on.
    foreach(flavour debug release)
        add_custom_target(user-${arch}-${flavour})
        add_dependencies(user-${arch}-${flavour} user-${arch}-tests)
        if(TARGET kernel-${arch}-${flavour})
            add_dependencies(user-${arch}-${flavour}
                kernel-${arch}-${flavour})
        endif()
    endforeach()
    foreach(source IN LISTS PAL_USER_TESTS)
        pal_user_tests(${arch} ${source})
    endforeach()
endforeach()
