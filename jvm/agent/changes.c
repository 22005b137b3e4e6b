/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is different in a restored process: the environment, the time zone, who it is, and what
 * names resolve to. Objects are looked up before the capture and kept by global references; after
 * it only fields are written, and an unsynchronised HashMap: application threads are suspended, and
 * may be inside any lock. Names are the same on JDK 17, 21 and 25; one that is missing is skipped.
 * Classes that are not initialised yet are left alone: they will find what is right by themselves.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "vmstructs.h"

extern char **environ;

#define VARIABLE "java/lang/ProcessEnvironment$Variable"
#define VALUE	 "java/lang/ProcessEnvironment$Value"

enum { NR_MAP_FIELDS = 6 };

struct changes {
	/* environment */
	jobject environment; /* global references; NULL: not initialised, or not there */
	jclass variable, value;
	jmethodID variable_of, value_of, put, remove;
	/* time zone */
	jclass time_zone;
	jfieldID default_zone;
	/* process */
	jclass process_handle;
	jobject current;
	jfieldID pid, start_time;
	jmethodID start_time_of;
	int64_t *start_counter;
	/* names */
	jobject names;	/* ConcurrentHashMap */
	jobject expiry; /* ConcurrentSkipListMap, or NULL */
	jfieldID table, next_table, size_ctl, transfer_index, base_count, counter_cells;
	jfieldID head, adder;
};

/* ---- finding ------------------------------------------------------------------------------- */

static bool failed(JNIEnv *jni)
{
	if (!(*jni)->ExceptionCheck(jni))
		return false;
	(*jni)->ExceptionClear(jni);
	return true;
}

/* A class that is initialised already, or NULL. FindClass does not initialise. */
static jclass find_initialised(struct agent *agent, JNIEnv *jni, const char *name)
{
	jclass class = (*jni)->FindClass(jni, name);
	jint status = 0;

	if (failed(jni) ||
	    (*agent->jvmti)->GetClassStatus(agent->jvmti, class, &status) != JVMTI_ERROR_NONE ||
	    !(status & JVMTI_CLASS_STATUS_INITIALIZED))
		return NULL;
	return class;
}

static jobject static_object(JNIEnv *jni, jclass class, const char *name, const char *type)
{
	jfieldID field = (*jni)->GetStaticFieldID(jni, class, name, type);

	if (failed(jni))
		return NULL;
	return (*jni)->GetStaticObjectField(jni, class, field);
}

static jobject keep(JNIEnv *jni, jobject object)
{
	return object ? (*jni)->NewGlobalRef(jni, object) : NULL;
}

static void find_environment(struct changes *changes, struct agent *agent, JNIEnv *jni)
{
	jclass class = find_initialised(agent, jni, "java/lang/ProcessEnvironment");
	jobject map =
		class ? static_object(jni, class, "theEnvironment", "Ljava/util/HashMap;") : NULL;
	jclass variable = map ? (*jni)->FindClass(jni, VARIABLE) : NULL;
	jclass value = variable ? (*jni)->FindClass(jni, VALUE) : NULL;
	jclass hash_map = value ? (*jni)->FindClass(jni, "java/util/HashMap") : NULL;

	if (failed(jni) || !hash_map)
		return;
	changes->variable_of =
		(*jni)->GetStaticMethodID(jni, variable, "valueOf", "([B)L" VARIABLE ";");
	if (!failed(jni))
		changes->value_of =
			(*jni)->GetStaticMethodID(jni, value, "valueOf", "([B)L" VALUE ";");
	changes->put = (*jni)->GetMethodID(
		jni, hash_map, "put", "(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;");
	changes->remove = (*jni)->GetMethodID(jni, hash_map, "remove",
					      "(Ljava/lang/Object;)Ljava/lang/Object;");
	if (failed(jni) || !changes->variable_of || !changes->value_of)
		return;
	changes->variable = keep(jni, variable);
	changes->value = keep(jni, value);
	changes->environment = keep(jni, map);
}

static void find_time_zone(struct changes *changes, struct agent *agent, JNIEnv *jni)
{
	jclass class = find_initialised(agent, jni, "java/util/TimeZone");

	if (!class)
		return;
	changes->default_zone =
		(*jni)->GetStaticFieldID(jni, class, "defaultTimeZone", "Ljava/util/TimeZone;");
	if (!failed(jni))
		changes->time_zone = keep(jni, class);
}

static void find_process(struct changes *changes, struct agent *agent, JNIEnv *jni)
{
	jclass class = find_initialised(agent, jni, "java/lang/ProcessHandleImpl");
	jobject current =
		class ? static_object(jni, class, "current", "Ljava/lang/ProcessHandleImpl;")
		      : NULL;

	if (!current)
		return;
	changes->pid = (*jni)->GetFieldID(jni, class, "pid", "J");
	if (!failed(jni))
		changes->start_time = (*jni)->GetFieldID(jni, class, "startTime", "J");
	if (!failed(jni) && changes->start_time)
		changes->start_time_of = (*jni)->GetStaticMethodID(jni, class, "isAlive0", "(J)J");
	if (failed(jni) || !changes->start_time_of)
		return;
	changes->process_handle = keep(jni, class);
	changes->current = keep(jni, current);
}

static bool find_fields(JNIEnv *jni, jobject object, jfieldID *const fields[],
			const char *const names_and_types[][2], size_t count)
{
	jclass class = (*jni)->GetObjectClass(jni, object);

	for (size_t i = 0; i < count; i++) {
		*fields[i] = (*jni)->GetFieldID(jni, class, names_and_types[i][0],
						names_and_types[i][1]);
		if (failed(jni))
			return false;
	}
	return true;
}

static void find_names(struct changes *changes, struct agent *agent, JNIEnv *jni)
{
	static const char *const map_fields[NR_MAP_FIELDS][2] = {
		{ "table", "[Ljava/util/concurrent/ConcurrentHashMap$Node;" },
		{ "nextTable", "[Ljava/util/concurrent/ConcurrentHashMap$Node;" },
		{ "sizeCtl", "I" },
		{ "transferIndex", "I" },
		{ "baseCount", "J" },
		{ "counterCells", "[Ljava/util/concurrent/ConcurrentHashMap$CounterCell;" },
	};
	static const char *const list_fields[][2] = {
		{ "head", "Ljava/util/concurrent/ConcurrentSkipListMap$Index;" },
		{ "adder", "Ljava/util/concurrent/atomic/LongAdder;" },
	};
	static const char *const set_field[][2] = {
		{ "m", "Ljava/util/concurrent/ConcurrentNavigableMap;" }
	};
	jfieldID inner, *const in_map[] = { &changes->table,	  &changes->next_table,
					    &changes->size_ctl,	  &changes->transfer_index,
					    &changes->base_count, &changes->counter_cells };
	jfieldID *const in_list[] = { &changes->head, &changes->adder }, *const in_set[] = {
		&inner
	};
	jclass class = find_initialised(agent, jni, "java/net/InetAddress");
	jobject map, set, list;

	if (!class)
		return;
	map = static_object(jni, class, "cache", "Ljava/util/concurrent/ConcurrentMap;");
	set = static_object(jni, class, "expirySet", "Ljava/util/NavigableSet;");
	if (!map || !find_fields(jni, map, in_map, map_fields, NR_MAP_FIELDS))
		return;
	changes->names = keep(jni, map);
	if (!set || !find_fields(jni, set, in_set, set_field, 1))
		return;
	list = (*jni)->GetObjectField(jni, set, inner);
	if (list && find_fields(jni, list, in_list, list_fields, 2))
		changes->expiry = keep(jni, list);
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
	jobject const all[] = { changes->environment, changes->variable,       changes->value,
				changes->time_zone,   changes->process_handle, changes->current,
				changes->names,	      changes->expiry };

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
	find_environment(agent->changes, agent, jni);
	find_time_zone(agent->changes, agent, jni);
	find_process(agent->changes, agent, jni);
	find_names(agent->changes, agent, jni);
	find_start_counter(agent->changes, agent);
	(void)(*jni)->PopLocalFrame(jni, NULL);
}

/* ---- the environment ----------------------------------------------------------------------- */

static jobject external(JNIEnv *jni, jclass class, jmethodID of, const char *bytes, size_t len)
{
	jbyteArray array = (*jni)->NewByteArray(jni, (jsize)len);

	if (!array)
		return NULL;
	(*jni)->SetByteArrayRegion(jni, array, 0, (jsize)len, (const jbyte *)bytes);
	return (*jni)->CallStaticObjectMethod(jni, class, of, array);
}

/* value NULL: the variable goes. */
static void set_variable(const struct changes *changes, JNIEnv *jni, const char *name,
			 const char *value)
{
	jobject key, object = NULL;

	(void)(value ? setenv(name, value, 1) : unsetenv(name));
	if (!changes->environment || (*jni)->PushLocalFrame(jni, 8) != JNI_OK)
		return;
	key = external(jni, changes->variable, changes->variable_of, name, strlen(name));
	if (key && value)
		object = external(jni, changes->value, changes->value_of, value, strlen(value));
	if (object)
		(void)(*jni)->CallObjectMethod(jni, changes->environment, changes->put, key,
					       object);
	else if (key && !value)
		(void)(*jni)->CallObjectMethod(jni, changes->environment, changes->remove, key);
	(void)failed(jni);
	(void)(*jni)->PopLocalFrame(jni, NULL);
}

/* "NAME=VALUE", when that is not what it is already. */
static void apply_variable(const struct changes *changes, JNIEnv *jni, char *text)
{
	char *equals = strchr(text, '=');
	const char *now;

	if (!equals || equals == text)
		return;
	*equals = '\0';
	now = getenv(text);
	if (!now || strcmp(now, equals + 1) != 0)
		set_variable(changes, jni, text, equals + 1);
	*equals = '=';
}

static bool is_given(const struct agent *agent, const char *name, size_t len)
{
	const char *at = NULL;

	while ((at = parameters_next(agent, THUMP_COORD_SAY_ENVIRONMENT, at)))
		if (strncmp(at, name, len) == 0 && at[len] == '=')
			return true;
	return false;
}

static void drop_others(const struct agent *agent, JNIEnv *jni)
{
	for (size_t i = 0; environ && environ[i];) {
		size_t len = strcspn(environ[i], "=");
		char *name;

		if (is_given(agent, environ[i], len) || !(name = strndup(environ[i], len))) {
			i++;
			continue;
		}
		set_variable(agent->changes, jni, name, NULL);
		free(name);
	}
}

static void apply_environment(const struct agent *agent, JNIEnv *jni)
{
	const char *mode = parameters_next(agent, THUMP_COORD_SAY_OPTION "environment=", NULL);
	char *at = NULL;

	if (mode && strcmp(mode, "replace") == 0)
		drop_others(agent, jni);
	while ((at = parameters_next(agent, THUMP_COORD_SAY_ENVIRONMENT, at)))
		apply_variable(agent->changes, jni, at);
}

/* ---- the rest ------------------------------------------------------------------------------ */

/* Read anew when it is asked for next; user.timezone is dealt with in Java (RestoreWords). */
static void forget_time_zone(const struct changes *changes, JNIEnv *jni)
{
	tzset();
	if (changes->time_zone)
		(*jni)->SetStaticObjectField(jni, changes->time_zone, changes->default_zone, NULL);
}

static void apply_process(const struct changes *changes, JNIEnv *jni)
{
	jlong start;

	if (!changes->current)
		return;
	start = (*jni)->CallStaticLongMethod(jni, changes->process_handle, changes->start_time_of,
					     (jlong)getpid());
	(*jni)->SetLongField(jni, changes->current, changes->pid, getpid());
	(*jni)->SetLongField(jni, changes->current, changes->start_time, start);
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
	apply_environment(agent, jni);
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
