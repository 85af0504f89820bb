# SPDX-License-Identifier: BSD-2-Clause
#
# Test programs.  Each <PREFIX>*.c of a suite's directory is one; the other
# .c files there are linked into all of them.  A program runs on the suite's
# default machines and flavours unless its source has lines such as
#
#   /* pal: machines=x86_64,soft flavours=debug,tsan timeout=60 */
#   /* pal: name=two-cpus args="--cpus 2" long-args="--ops 1000000" */
#
# Each line is one run per machine and flavour, called
# suite/machine/flavour/program[.name].  A line starts with "/* pal:",
# " * pal:" or "// pal:"; then come key=value words, quoted as in a shell:
#   name=N            tells this run from the program's others
#   machines=A,B      of x86_64 aarch64 riscv64 soft hash
#   flavours=A,B      of debug tsan opt fuzz release
#   args="..."        arguments, in every run
#   timeout=SECONDS   then it is killed, and has failed (default 120)
#   long-args="..."   more arguments under --long
#   long-timeout=SECONDS  instead of timeout under --long (default 1800)
#   verdict=exit      prints no KTAP, takes no -k, --seed or --long
#
# What CTest has no property for travels in the run's environment:
#   PAL_TARGET     what to build before it runs
#   PAL_VERDICT    ktap: the output tells; the program takes -k and --seed
#                  exit: the exit status tells; fuzz: likewise, libFuzzer
#   PAL_LONG_ARGS, PAL_LONG_TIMEOUT   used by ./pal test --long
set(PAL_TIMEOUT 120)
set(PAL_LONG_TIMEOUT 1800)
set(PAL_FUZZ_SECONDS 20)
set(PAL_FUZZ_LONG_SECONDS 600)
set(_keys name machines flavours args timeout long-args long-timeout verdict)

# Read one pal line into pal_<key> variables of the caller.
macro(pal_parse_line source line)
    foreach(key IN LISTS _keys)
        set(pal_${key})
    endforeach()
    string(REGEX REPLACE "^.*pal:(.*)$" "\\1" _text "${line}")
    string(REGEX REPLACE "\\*/.*$" "" _text "${_text}")
    separate_arguments(_words UNIX_COMMAND "${_text}")
    foreach(_word IN LISTS _words)
        if(NOT _word MATCHES "^([a-z-]+)=(.*)$"
                OR NOT CMAKE_MATCH_1 IN_LIST _keys)
            list(JOIN _keys " " _known)
            message(FATAL_ERROR "${source}: '${_word}' in its pal line is "
                "not key=value with a key of: ${_known}")
        endif()
        set(pal_${CMAKE_MATCH_1} "${CMAKE_MATCH_2}")
    endforeach()
endmacro()

# Split a comma list and refuse what is not in the known ones.
function(pal_choices out source what given known)
    string(REPLACE "," ";" given "${given}")
    foreach(one IN LISTS given)
        if(NOT one IN_LIST known)
            list(JOIN known " " known)
            message(FATAL_ERROR
                "${source}: no ${what} '${one}'; there are: ${known}")
        endif()
    endforeach()
    set(${out} ${given} PARENT_SCOPE)
endfunction()

# pal_program(suite source machine flavour helpers): one executable.
function(pal_program suite source machine flavour helpers)
    get_filename_component(stem ${source} NAME_WE)
    set(target ${suite}-${machine}-${flavour}-${stem})
    if(TARGET ${target})
        return()
    endif()
    pal_machine(${machine} ${flavour})
    pal_includes(includes ${machine})
    get_filename_component(dir ${source} DIRECTORY)
    list(APPEND includes ${dir})
    set(defines PMAP_SIM=1 PAL_MACHINE="${machine}" PAL_FLAVOUR="${flavour}")
    set(shared ${suite}-${machine}-${flavour}-common)
    pal_objects(${shared} ${flavour} SOURCES ${helpers} FLAGS ${PAL_HOST_C}
        INCLUDES ${includes} DEFINES ${defines})

    add_executable(${target} ${source})
    if(TARGET ${shared})
        target_sources(${target} PRIVATE $<TARGET_OBJECTS:${shared}>)
    endif()
    target_compile_options(${target} PRIVATE ${PAL_HOST_C}
        ${PAL_FLAGS_${flavour}})
    target_compile_definitions(${target} PRIVATE ${defines})
    target_include_directories(${target} PRIVATE ${includes})
    target_link_options(${target} PRIVATE -fuse-ld=lld -pthread
        ${PAL_LINK_${flavour}})
    target_link_libraries(${target} PRIVATE vm-${machine}-${flavour})
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${stem}
        RUNTIME_OUTPUT_DIRECTORY ${suite}/${machine}/${flavour})
    add_dependencies(${flavour} ${target})
endfunction()

# pal_test(name suite TARGET t COMMAND .. [LABELS ..] [TIMEOUT s] [ENV ..])
function(pal_test name suite)
    cmake_parse_arguments(arg "" "TARGET;TIMEOUT;VERDICT"
        "COMMAND;LABELS;ENV" ${ARGN})
    if(TEST ${name})
        message(FATAL_ERROR "${arg_TARGET}: two runs are called ${name}; "
            "give one of its pal lines a name=")
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT ${PAL_TIMEOUT})
    endif()
    if(NOT arg_VERDICT)
        set(arg_VERDICT ktap)
    endif()
    add_test(NAME ${name} COMMAND ${arg_COMMAND}
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES
        LABELS "${suite};${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
        SKIP_RETURN_CODE 77
        ENVIRONMENT "PAL_TARGET=${arg_TARGET};PAL_VERDICT=${arg_VERDICT};${arg_ENV}")
    if(arg_VERDICT STREQUAL "ktap")
        set_tests_properties(${name} PROPERTIES
            FAIL_REGULAR_EXPRESSION "(^|\n)not ok")
    endif()
endfunction()

# pal_run(suite source machine flavour): one run of it, from pal_* variables.
function(pal_run suite source machine flavour)
    get_filename_component(stem ${source} NAME_WE)
    set(name ${suite}/${machine}/${flavour}/${stem})
    if(pal_name)
        string(APPEND name ".${pal_name}")
    endif()
    set(path ${suite}/${machine}/${flavour}/${stem})
    separate_arguments(args UNIX_COMMAND "${pal_args}")
    set(command ${PAL_LAUNCH_${flavour}} ${PROJECT_BINARY_DIR}/${path})
    set(verdict ${pal_verdict})
    set(timeout ${pal_timeout})
    set(long_timeout ${pal_long-timeout})
    set(long_args ${pal_long-args})
    if(flavour STREQUAL "fuzz")
        set(found ${PROJECT_BINARY_DIR}/found/${suite}/${machine}/${stem})
        file(MAKE_DIRECTORY ${found}/corpus)
        set(seeds ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${stem})
        if(NOT IS_DIRECTORY ${seeds})
            set(seeds)
        endif()
        # libFuzzer's own exit status for a crash is 77, which means skipped.
        list(PREPEND args -error_exitcode=1 -timeout=20 -seed=1
            -max_total_time=${PAL_FUZZ_SECONDS} -artifact_prefix=${found}/)
        set(long_args
            "-max_total_time=${PAL_FUZZ_LONG_SECONDS} ${long_args}")
        list(APPEND args ${found}/corpus ${seeds})
        if(NOT verdict)
            set(verdict fuzz)
        endif()
    endif()
    if(NOT long_timeout)
        set(long_timeout ${PAL_LONG_TIMEOUT})
    endif()
    pal_test(${name} ${suite} TARGET ${path}
        COMMAND ${command} ${args}
        LABELS ${machine} ${flavour} TIMEOUT "${timeout}"
        VERDICT "${verdict}"
        ENV ${PAL_ENV_${flavour}} "PAL_LONG_ARGS=${long_args}"
            PAL_LONG_TIMEOUT=${long_timeout})
endfunction()

# pal_programs(suite DIR d PREFIX p [MACHINES ..] [FLAVOURS ..] [NO_TEST])
function(pal_programs suite)
    cmake_parse_arguments(arg "NO_TEST" "DIR;PREFIX" "MACHINES;FLAVOURS"
        ${ARGN})
    if(NOT arg_MACHINES)
        set(arg_MACHINES x86_64)
    endif()
    if(NOT arg_FLAVOURS)
        set(arg_FLAVOURS debug)
    endif()
    set(dir ${PROJECT_SOURCE_DIR}/${arg_DIR})
    file(GLOB sources CONFIGURE_DEPENDS ${dir}/${arg_PREFIX}*.c)
    file(GLOB helpers CONFIGURE_DEPENDS ${dir}/*.c)
    list(FILTER helpers EXCLUDE REGEX "/${arg_PREFIX}[^/]*$")
    # A changed pal line changes the list of tests.
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sources})

    foreach(source IN LISTS sources)
        file(STRINGS ${source} lines REGEX "^ *(/\\*|\\*|//) *pal:")
        if(NOT lines)
            set(lines "/* pal: */")
        endif()
        foreach(line IN LISTS lines)
            pal_parse_line(${source} "${line}")
            set(machines ${arg_MACHINES})
            set(flavours ${arg_FLAVOURS})
            if(pal_machines)
                pal_choices(machines ${source} machine "${pal_machines}"
                    "${PAL_MACHINES}")
            endif()
            if(pal_flavours)
                pal_choices(flavours ${source} flavour "${pal_flavours}"
                    "${PAL_FLAVOURS}")
            endif()
            foreach(machine IN LISTS machines)
                foreach(flavour IN LISTS flavours)
                    pal_program(${suite} ${source} ${machine} ${flavour}
                        "${helpers}")
                    if(NOT arg_NO_TEST)
                        pal_run(${suite} ${source} ${machine} ${flavour})
                    endif()
                endforeach()
            endforeach()
        endforeach()
    endforeach()
endfunction()
