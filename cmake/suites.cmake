# SPDX-License-Identifier: BSD-2-Clause
#
# The runs that are no test programs.
set(_python ${Python3_EXECUTABLE})

pal_test(lint lint COMMAND ${_python} tools/lint.py)
pal_test(tools tools COMMAND ${_python} tools/selftest.py)
pal_test(docs/calls docs COMMAND ${_python} tools/calls.py --check)

# docs/model/check.py --list names the SPIN models' cases, one on a line; a
# run proves one of them.
set(_check ${PROJECT_SOURCE_DIR}/docs/model/check.py)
if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/docs/model)
    if(EXISTS ${_check})
        set_property(DIRECTORY APPEND PROPERTY
            CMAKE_CONFIGURE_DEPENDS ${_check})
    endif()
    execute_process(COMMAND ${_python} ${_check} --list
        OUTPUT_VARIABLE _cases RESULT_VARIABLE _failed
        OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_VARIABLE _errors)
    string(REPLACE "\n" ";" _cases "${_cases}")
    if(_failed OR NOT _cases)
        # Let it fail where failures are reported.
        pal_test(model/spin model VERDICT exit
            COMMAND ${_python} ${_check} --list)
        set(_cases)
    endif()
    foreach(_case IN LISTS _cases)
        pal_test(model/spin/${_case} model VERDICT exit TIMEOUT 300
            COMMAND ${_python} ${_check} -k ${_case})
    endforeach()
endif()

# Instruction counting works: each bench case, a few operations of it.
get_property(_targets DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
list(FILTER _targets INCLUDE REGEX "^bench-.*-release-b_")
foreach(_target IN LISTS _targets)
    string(REGEX REPLACE "^bench-(.*)-release-(.*)$"
        "bench/\\1/release/\\2" _path ${_target})
    string(REGEX REPLACE "^bench/" "count/" _name ${_path})
    pal_test(${_name} count TARGET ${_path}
        COMMAND ${_python} tools/count.py --smoke
            ${PROJECT_BINARY_DIR}/${_path})
endforeach()

# The commands of tools/gdb, in a debug kernel that runs a program.
foreach(arch IN LISTS PAL_ARCHES)
    if(TARGET kernel-${arch}-debug AND TARGET user-${arch})
        pal_booted_test(gdb/${arch} gdb ${arch} debug
            TARGET user-${arch}-debug
            COMMAND ${_python} tools/gdb_test.py --arch ${arch})
    endif()
endforeach()

# A run is recorded, and replayed under gdb.
foreach(arch IN LISTS PAL_ARCHES)
    if(TARGET kernel-${arch}-debug AND TARGET kernel-${arch}-test AND
            TARGET user-${arch})
        add_custom_target(record-${arch})
        add_dependencies(record-${arch} user-${arch} kernel-${arch}-debug
            kernel-${arch}-test)
        pal_booted_test(record/${arch} gdb ${arch} debug
            TARGET record-${arch}
            COMMAND ${_python} tools/record_test.py --arch ${arch})
    endif()
endforeach()

# Limits of the release kernels: instructions to boot, image, memory.
foreach(arch IN LISTS PAL_ARCHES)
    if(TARGET kernel-${arch}-release AND TARGET user-${arch})
        pal_booted_test(bench/${arch}/release/limits bench ${arch} release
            TARGET user-${arch}-release
            COMMAND ${_python} tools/bench_test.py --arch ${arch})
    endif()
endforeach()

# ./pal boot itself, in small machines: every scenario on every architecture,
# and equal counters.
set(_ready TRUE)
foreach(arch IN LISTS PAL_ARCHES)
    if(NOT TARGET kernel-${arch}-release OR NOT TARGET user-${arch})
        set(_ready FALSE)
    endif()
endforeach()
if(_ready)
    add_custom_target(tour)
    foreach(arch IN LISTS PAL_ARCHES)
        add_dependencies(tour kernel-${arch}-release user-${arch})
    endforeach()
    pal_test(tour/all tour TARGET tour VERDICT exit TIMEOUT 600
        COMMAND ${_python} tools/pal.py boot --mem 256M --no-install)
endif()
