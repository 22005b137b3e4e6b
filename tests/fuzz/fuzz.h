/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One decoder of untrusted bytes per file. Built for libFuzzer with the preset `fuzz`; everywhere
 * else driver.c runs the corpus through the same function, as the tests fuzz.NAME.
 */
#ifndef THUMP_TESTS_FUZZ_H
#define THUMP_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Anything may be the outcome but a crash, a hang, or a report of a sanitizer. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
