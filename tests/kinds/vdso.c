/* SPDX-License-Identifier: Apache-2.0 */
/* The vdso works where it was, its clocks agree with the kernel's, and time never runs back. */
#include "workload.h"

#include <pthread.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/time.h>

static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME,
				    CLOCK_REALTIME, CLOCK_MONOTONIC_COARSE };
static volatile uint32_t stop;
static volatile uint64_t rounds;

static uint64_t raw_ns(clockid_t clock)
{
	struct timespec now;

	MUST(syscall(SYS_clock_gettime, clock, &now));
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *spin(void *arg)
{
	uint64_t last = 0, now;

	while (!stop) {
		now = now_ns(CLOCK_MONOTONIC);
		if (now < last)
			FAIL("CLOCK_MONOTONIC ran back by %llu ns",
			     (unsigned long long)(last - now));
		last = now;
		rounds++;
	}
	return arg;
}

int main(void)
{
	uint64_t before[NR_OF(clocks)], after, vdso_address = getauxval(AT_SYSINFO_EHDR);
	pthread_t thread;

	workload_init();
	for (size_t i = 0; i < NR_OF(clocks); i++)
		before[i] = now_ns(clocks[i]);
	MUST_PTHREAD(pthread_create(&thread, NULL, spin, NULL));
	while (rounds == 0)
		sched_yield();

	workload_checkpoint();

	CHECK(memcmp((void *)(uintptr_t)vdso_address, "\177ELF", 4) == 0);
	for (size_t i = 0; i < NR_OF(clocks); i++) {
		after = now_ns(clocks[i]);
		CHECK(after >= before[i]);
		/* Deadline of the driver: nothing here takes five minutes. */
		CHECK(after - before[i] < 300000000000ull);
		CHECK(raw_ns(clocks[i]) - after < 1000000000u ||
		      clocks[i] == CLOCK_MONOTONIC_COARSE);
	}
	CHECK(time(NULL) >= (time_t)(before[3] / 1000000000));
	stop = 1;
	MUST_PTHREAD(pthread_join(thread, NULL));
	CHECK(rounds > 0);
	workload_pass();
}
