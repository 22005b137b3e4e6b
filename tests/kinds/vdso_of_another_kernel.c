/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vdso of this process is none that this machine's kernel has: its functions are changed, and
 * would trap. Restored, their addresses, which libc looked up at its start, lead to the kernel's.
 */
#include "workload.h"

#include <dlfcn.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

#define TRAP	     0xcc
#define CHANGED_SIZE 32

typedef int (*getcpu_fn)(unsigned *cpu, unsigned *node, void *unused);
typedef time_t (*time_fn)(time_t *out);

static const char *const names[] = { "__vdso_clock_gettime", "__vdso_gettimeofday", "__vdso_time",
				     "__vdso_clock_getres", "__vdso_getcpu" };
static unsigned char *functions[NR_OF(names)];

static void find_functions(void)
{
	void *vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);

	if (!vdso)
		workload_skip("there is no vdso");
	for (size_t i = 0; i < NR_OF(names); i++) {
		functions[i] = dlvsym(vdso, names[i], "LINUX_2.6");
		if (!functions[i])
			workload_skip("the vdso has no %s", names[i]);
	}
}

/* All of its pages, so that the mapping stays one. */
static void protect_vdso(int prot)
{
	unsigned long long start = 0, end = 0;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	CHECK(maps != NULL);
	while (fgets(line, sizeof(line), maps))
		if (strstr(line, "[vdso]"))
			CHECK_EQ(sscanf(line, "%llx-%llx", &start, &end), 2);
	(void)fclose(maps);
	MUST(mprotect((void *)(uintptr_t)start, end - start, prot));
}

static void change_functions(void)
{
	protect_vdso(PROT_READ | PROT_WRITE | PROT_EXEC);
	for (size_t i = 0; i < NR_OF(names); i++)
		memset(functions[i], TRAP, CHANGED_SIZE);
	protect_vdso(PROT_READ | PROT_EXEC);
}

static uint64_t raw_ns(clockid_t clock)
{
	struct timespec now;

	MUST(syscall(SYS_clock_gettime, clock, &now));
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void check_clocks(void)
{
	static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };
	struct timeval now;
	struct timespec resolution;

	for (size_t i = 0; i < NR_OF(clocks); i++) {
		uint64_t before = raw_ns(clocks[i]), between = now_ns(clocks[i]);

		CHECK(before <= between && between <= raw_ns(clocks[i]));
	}
	MUST(gettimeofday(&now, NULL));
	CHECK((uint64_t)now.tv_sec + 1 >= raw_ns(CLOCK_REALTIME) / 1000000000u);
	MUST(clock_getres(CLOCK_MONOTONIC, &resolution));
	CHECK(resolution.tv_sec == 0 && resolution.tv_nsec > 0);
}

int main(void)
{
	unsigned cpu = ~0u;

	workload_init();
	find_functions();
	change_functions();

	if (workload_checkpoint() == WORKLOAD_ORIGINAL)
		workload_pass();

	check_clocks();
	CHECK(((time_fn)(void *)functions[2])(NULL) + 1 >=
	      (time_t)(raw_ns(CLOCK_REALTIME) / 1000000000u));
	MUST(((getcpu_fn)(void *)functions[4])(&cpu, NULL, NULL));
	CHECK(cpu < CPU_SETSIZE);
	for (size_t i = 0; i < NR_OF(names); i++)
		CHECK(functions[i][0] != TRAP && functions[i][CHANGED_SIZE - 1] == TRAP);
	workload_pass();
}
