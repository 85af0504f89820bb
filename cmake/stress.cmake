# SPDX-License-Identifier: BSD-2-Clause
#
# Short runs of ./pal stress: on each simulator, in threads, on the seeded
# scheduler and under ThreadSanitizer; on each kernel; and all six machines
# with one digest.  Under --long each takes minutes.
#
# pal_stress(name target label arguments...)
function(pal_stress name target label)
    pal_test(${name} stress TARGET ${target} VERDICT exit TIMEOUT 300
        COMMAND ${Python3_EXECUTABLE} tools/pal.py stress --no-build
            --no-install ${ARGN}
        LABELS ${label}
        ENV "PAL_LONG_ARGS=--epochs 4000" PAL_LONG_TIMEOUT=7200)
endfunction()

foreach(machine IN LISTS PAL_MACHINES)
    set(dir flow/${machine})
    set(storm mixed)
    if(machine IN_LIST PAL_TOYS)
        # One lock for all their translations, held while they flush: it
        # cannot be taken by who gives a pmap another root.
        set(storm page,range,table,pmap,all,asid,audit)
    endif()
    pal_stress(stress/sim-${machine}/threads ${dir}/opt/sim_main ${machine}
        --arch sim-${machine} --storm ${storm} --epochs 48 --jobs 1)
    pal_stress(stress/sim-${machine}/fibers ${dir}/debug/sim_main ${machine}
        --arch sim-${machine} --storm ${storm} --sim debug --fibers
        --epochs 8 --jobs 1 --no-reference)
    if(TARGET flow-${machine}-tsan-sim_main)
        pal_stress(stress/sim-${machine}/tsan ${dir}/tsan/sim_main
            ${machine} --arch sim-${machine} --sim tsan --epochs 8 --jobs 1
            --no-reference)
    endif()
endforeach()
pal_stress(stress/sim-x86_64/delay flow/x86_64/opt/sim_main x86_64
    --arch sim-x86_64 --storm delay --epochs 24 --jobs 1 --no-reference)

# What the tool itself says: it finds a bug, names the page, shrinks.
pal_test(stress/tool stress TARGET flow/x86_64/opt/sim_main TIMEOUT 300
    COMMAND ${Python3_EXECUTABLE} tools/stress_test.py)

set(_ready TRUE)
foreach(arch IN LISTS PAL_ARCHES)
    if(NOT TARGET kernel-${arch}-release OR NOT TARGET user-${arch})
        set(_ready FALSE)
        continue()
    endif()
    pal_stress(stress/${arch}/kernel user-${arch}-debug booted-${arch}
        --arch ${arch} --kernel debug --epochs 16 --jobs 1 --no-reference)
endforeach()
if(_ready)
    add_custom_target(stress-all)
    foreach(arch IN LISTS PAL_ARCHES)
        add_dependencies(stress-all kernel-${arch}-release user-${arch}
            flow-${arch}-opt-sim_main)
    endforeach()
    pal_stress(stress/all stress-all stress --arch all --epochs 24 --jobs 1)
endif()
