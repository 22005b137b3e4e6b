/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is different in a restored process: the environment (environment.c), the time zone, who it
 * is, and what names resolve to. Objects are looked up before the capture and kept by global
 * references; after it only fields are written: application threads are suspended, and may be
 * inside any lock, and code of Java is what the first request is to bring into memory, not this.
 * Names are the same on JDK 17, 21 and 25; one that is missing is skipped. Classes that are not
 * initialised yet are left alone: they will find what is right by themselves.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "lookup.h"
#include "vmstructs.h"

struct changes {
	/* time zone; global references, NULL: not initialised, or not there */
	jclass time_zone;
	jfieldID default_zone;
	/* process */
	jobject current;
	jfieldID pid, start_time;
	int64_t booted_ms; /* to which the JDK adds the age of a process; 0: not known */
	int64_t *start_counter;
	/* names */
	jobject names;	/* ConcurrentHashMap */
	jobject expiry; /* ConcurrentSkipListMap, or NULL */
	jfieldID table, next_table, size_ctl, transfer_index, base_count, counter_cells;
	jfieldID head, adder;
};

/* ---- finding ------------------------------------------------------------------------------- */

static void find_time_zone(struct changes *changes, struct agent *agent, JNIEnv *jni)
{
	jclass class = lookup_initialised(agent, jni, "java/util/TimeZone");

	if (!class)
		return;
	changes->default_zone =
		(*jni)->GetStaticFieldID(jni, class, "defaultTimeZone", "Ljava/util/TimeZone;");
	if (!lookup_failed(jni))
		changes->time_zone = lookup_keep(jni, class);
}

/* Field 22 of /proc/PID/stat (proc(5)): how long after the boot this process was started; -1 where
 * that cannot be read. */
static int64_t started_ms(void)
{
	char text[1024], *at;
	int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
	ssize_t size = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		(void)close(fd);
	text[size > 0 ? size : 0] = '\0';
	at = strrchr(text, ')'); /* ends field 2, which may have spaces */
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoll(at, NULL, 10) * 1000 / sysconf(_SC_CLK_TCK) : -1;
}

/* The JDK looks at the clock once to know when the machine was started. That is its own number: it
 * compares what it makes of it with what it finds here (ProcessHandle.isAlive()). */
static void find_boot(struct changes *changes, JNIEnv *jni, jclass class)
{
	jmethodID start_time_of = (*jni)->GetStaticMethodID(jni, class, "isAlive0", "(J)J");
	jlong start = lookup_failed(jni) ? 0
					 : (*jni)->CallStaticLongMethod(jni, class, start_time_of,
									(jlong)getpid());
	int64_t after_boot = started_ms();

	if (!lookup_failed(jni) && start > 0 && after_boot >= 0)
		changes->booted_ms = start - after_boot;
}

static void find_process(struct changes *changes, struct agent *agent, JNIEnv *jni)
{
	jclass class = lookup_initialised(agent, jni, "java/lang/ProcessHandleImpl");
	jobject current =
		class ? lookup_static(jni, class, "current", "Ljava/lang/ProcessHandleImpl;")
		      : NULL;
	const struct lookup_field fields[] = { { &changes->pid, "pid", "J" },
					       { &changes->start_time, "startTime", "J" } };

	if (!current || !lookup_fields(jni, class, fields, sizeof(fields) / sizeof(fields[0])))
		return;
	find_boot(changes, jni, class);
	changes->current = lookup_keep(jni, current);
}

static bool find_map_fields(struct changes *changes, JNIEnv *jni, jobject map)
{
#define CELLS "[Ljava/util/concurrent/ConcurrentHashMap$CounterCell;"
#define NODES "[Ljava/util/concurrent/ConcurrentHashMap$Node;"
	const struct lookup_field fields[] = {
		{ &changes->table, "table", NODES },
		{ &changes->next_table, "nextTable", NODES },
		{ &changes->size_ctl, "sizeCtl", "I" },
		{ &changes->transfer_index, "transferIndex", "I" },
		{ &changes->base_count, "baseCount", "J" },
		{ &changes->counter_cells, "counterCells", CELLS },
	};

	return lookup_fields(jni, (*jni)->GetObjectClass(jni, map), fields,
			     sizeof(fields) / sizeof(fields[0]));
}

static bool find_list_fields(struct changes *changes, JNIEnv *jni, jobject list)
{
	const struct lookup_field fields[] = {
		{ &changes->head, "head", "Ljava/util/concurrent/ConcurrentSkipListMap$Index;" },
		{ &changes->adder, "adder", "Ljava/util/concurrent/atomic/LongAdder;" },
	};

	return lookup_fields(jni, (*jni)->GetObjectClass(jni, list), fields,
			     sizeof(fields) / sizeof(fields[0]));
}

static void find_names(struct changes *changes, struct agent *agent, JNIEnv *jni)
{
	jfieldID inner;
	const struct lookup_field in_set = { &inner, "m",
					     "Ljava/util/concurrent/ConcurrentNavigableMap;" };
	jclass class = lookup_initialised(agent, jni, "java/net/InetAddress");
	jobject map, set, list;

	if (!class)
		return;
	map = lookup_static(jni, class, "cache", "Ljava/util/concurrent/ConcurrentMap;");
	set = lookup_static(jni, class, "expirySet", "Ljava/util/NavigableSet;");
	if (!map || !find_map_fields(changes, jni, map))
		return;
	changes->names = lookup_keep(jni, map);
	if (!set || !lookup_fields(jni, (*jni)->GetObjectClass(jni, set), &in_set, 1))
		return;
	list = (*jni)->GetObjectField(jni, set, inner);
	if (list && find_list_fields(changes, jni, list))
		changes->expiry = lookup_keep(jni, list);
}

/* In milliseconds. With -XX:-UsePerfData it is out of reach. */
#define START_TIME_COUNTER "sun.rt.vmInitDoneTime"

/* hotspot/share/runtime/perfMemory.hpp: PerfDataPrologue and PerfDataEntry, version 2. */
struct perf_prologue {
	uint32_t magic;
	uint8_t byte_order, major, minor, accessible;
	uint32_t used, overflow;
	int64_t modified;
	uint32_t entry_offset, nr_entries;
};
struct perf_entry {
	uint32_t entry_length, name_offset, vector_length;
	uint8_t type, flags, units, variability;
	uint32_t data_offset;
};

static void find_start_counter(struct changes *changes, const struct agent *agent)
{
	struct vm_structs vm;
	const struct perf_prologue *prologue;
	const char *start;
	char *at;

	vm_open(&vm, agent);
	start = vm_static_pointer(&vm, "PerfMemory", "_start");
	if (vm.missing || !start)
		return;
	prologue = (const void *)start;
	at = (char *)(uintptr_t)start + prologue->entry_offset;
	for (uint32_t i = 0; i < prologue->nr_entries; i++) {
		const struct perf_entry *entry = (const void *)at;

		if (strcmp(at + entry->name_offset, START_TIME_COUNTER) == 0)
			changes->start_counter = (void *)(at + entry->data_offset);
		at += entry->entry_length;
	}
}

static void forget(struct changes *changes, JNIEnv *jni)
{
	jobject const all[] = { changes->time_zone, changes->current, changes->names,
				changes->expiry };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		(*jni)->DeleteGlobalRef(jni, all[i]);
	*changes = (struct changes){ 0 };
}

void changes_find(struct agent *agent, JNIEnv *jni)
{
	if (!agent->changes)
		agent->changes = calloc(1, sizeof(*agent->changes));
	if (!agent->changes || (*jni)->PushLocalFrame(jni, 64) != JNI_OK)
		return;
	forget(agent->changes, jni);
	environment_find(agent, jni);
	find_time_zone(agent->changes, agent, jni);
	find_process(agent->changes, agent, jni);
	find_names(agent->changes, agent, jni);
	find_start_counter(agent->changes, agent);
	(void)(*jni)->PopLocalFrame(jni, NULL);
}

/* ---- changing ------------------------------------------------------------------------------ */

/* Read anew when it is asked for next; user.timezone is dealt with in Java (RestoreWords). */
static void forget_time_zone(const struct changes *changes, JNIEnv *jni)
{
	tzset();
	if (changes->time_zone)
		(*jni)->SetStaticObjectField(jni, changes->time_zone, changes->default_zone, NULL);
}

static void apply_process(const struct changes *changes, JNIEnv *jni)
{
	int64_t after_boot;

	if (!changes->current)
		return;
	(*jni)->SetLongField(jni, changes->current, changes->pid, getpid());
	after_boot = changes->booted_ms ? started_ms() : -1;
	if (after_boot >= 0)
		(*jni)->SetLongField(jni, changes->current, changes->start_time,
				     changes->booted_ms + after_boot);
}

/* Nobody waits inside these two for anything; whoever was adding to them adds to what is dropped.
 */
static void forget_names(const struct changes *changes, JNIEnv *jni)
{
	if (changes->names) {
		(*jni)->SetObjectField(jni, changes->names, changes->table, NULL);
		(*jni)->SetObjectField(jni, changes->names, changes->next_table, NULL);
		(*jni)->SetObjectField(jni, changes->names, changes->counter_cells, NULL);
		(*jni)->SetIntField(jni, changes->names, changes->size_ctl, 0);
		(*jni)->SetIntField(jni, changes->names, changes->transfer_index, 0);
		(*jni)->SetLongField(jni, changes->names, changes->base_count, 0);
	}
	if (changes->expiry) {
		(*jni)->SetObjectField(jni, changes->expiry, changes->head, NULL);
		(*jni)->SetObjectField(jni, changes->expiry, changes->adder, NULL);
	}
}

/* RuntimeMXBean.getStartTime() is this counter. */
static void apply_start_time(const struct changes *changes)
{
	struct timeval now;

	(void)gettimeofday(&now, NULL);
	if (changes->start_counter)
		*changes->start_counter = (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

/* The time zone of TZ, as a text that stays; "" without one. */
static char *time_zone_now(void)
{
	const char *zone = getenv("TZ");

	return strdup(zone ? zone : "");
}

void changes_apply(struct agent *agent, JNIEnv *jni)
{
	char *before = time_zone_now(), *after;
	const char *property, *failure;

	if (!agent->changes || (*jni)->PushLocalFrame(jni, 32) != JNI_OK) {
		free(before);
		return;
	}
	environment_apply(agent, jni);
	failure = parameters_next(agent, THUMP_COORD_SAY_OPTION "on-failure=", NULL);
	agent->ends_on_failure = failure && strcmp(failure, "continue") != 0;
	after = time_zone_now();
	property = parameters_next(agent, THUMP_COORD_SAY_ARGUMENT "-Duser.timezone=", NULL);
	agent->time_zone_changed = before && after && strcmp(before, after) != 0;
	if (agent->time_zone_changed || property)
		forget_time_zone(agent->changes, jni);
	free(before);
	free(after);
	apply_process(agent->changes, jni);
	forget_names(agent->changes, jni);
	apply_start_time(agent->changes);
	(void)(*jni)->PopLocalFrame(jni, NULL);
}
