/* Copyright the Cohort authors. SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzz targets, in libFuzzer's form. With clang and -DCOHORT_FUZZ=ON they are programs fuzz_boot
 * and fuzz_ring; in every build, replay_boot and replay_ring run the inputs of tests/fuzz/corpus as
 * tests.
 */
#ifndef COHORT_TESTS_FUZZ_H
#define COHORT_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
