# SPDX-License-Identifier: BSD-2-Clause
#
# The mutants of mi/vm_mutant.h in the booted test kernels (tools/mutants.py);
# on the simulated MMU they are tests/model/t_mutants.c.
foreach(arch IN LISTS PAL_ARCHES)
    if(NOT TARGET kernel-${arch}-test OR NOT TARGET user-${arch}-tests)
        continue()
    endif()
    # user-<arch>-test: the test programs, and the test kernel under them.
    add_custom_target(user-${arch}-test)
    add_dependencies(user-${arch}-test user-${arch}-tests
        kernel-${arch}-test)
    pal_test(model/${arch}/kernel/mutants model TARGET user-${arch}-test
        TIMEOUT 300
        COMMAND ${Python3_EXECUTABLE} tools/mutants.py --arch ${arch}
        LABELS ${arch} test booted-${arch})
endforeach()

# docs/testing.md has all of them.
pal_test(docs/mutants docs
    COMMAND ${Python3_EXECUTABLE} tools/mutants.py --check)
