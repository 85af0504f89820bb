# SPDX-License-Identifier: BSD-2-Clause
#
# The example of docs/embedding.md: the core and its pmap in a program with
# no shim but its own, in one format.
add_executable(embed ${_root}/tests/embed/embed.c
    ${PAL_MI} ${PAL_PMAP})
target_compile_options(embed PRIVATE -std=gnu11 ${PAL_WARNINGS} -O1 -g
    -fsanitize=address,undefined -fno-sanitize-recover=all)
target_compile_definitions(embed PRIVATE VM_DEBUG=1 VM_TEST=0)
target_include_directories(embed PRIVATE ${_root}/tests/embed ${_root}/mi
    ${_root}/pmap/common ${_root}/pmap/x86_64)
target_link_options(embed PRIVATE -fuse-ld=lld -fsanitize=address,undefined)
set_target_properties(embed PROPERTIES RUNTIME_OUTPUT_DIRECTORY embed)
pal_test(embed/embed embed TARGET embed/embed VERDICT exit
    COMMAND ${PAL_LAUNCH_debug} ${PROJECT_BINARY_DIR}/embed/embed)
