/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clones of one image must not draw the same numbers. Every generator that the program did not
 * seed itself is found before the capture, by one pass over the heap, and held weakly; after the
 * restore only fields are written (and reseed methods called on the few stateful SecureRandoms).
 * Class and field names are the same on JDK 17, 21 and 25.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent.h"

enum random_kind {
	RANDOM_NATIVE_BUFFER = 1, /* NativePRNG.RandomIO.buffered = 0 */
	RANDOM_SHA1PRNG,	  /* engineSetSeed(byte[]) */
	RANDOM_DRBG,		  /* reseedAlgorithm(byte[], byte[]) */
	RANDOM_THREAD,		  /* Thread.threadLocalRandomSeed */
};

struct random_class {
	const char *signature;
	enum random_kind kind;
};

static const struct random_class random_classes[] = {
	{ "Lsun/security/provider/NativePRNG$RandomIO;", RANDOM_NATIVE_BUFFER },
	{ "Lsun/security/provider/SecureRandom;", RANDOM_SHA1PRNG },
	{ "Lsun/security/provider/HashDrbg;", RANDOM_DRBG },
	{ "Lsun/security/provider/HmacDrbg;", RANDOM_DRBG },
	{ "Lsun/security/provider/CtrDrbg;", RANDOM_DRBG },
	{ "Ljava/lang/VirtualThread;", RANDOM_THREAD },
};

/* Static fields that hold an AtomicLong from which new generators take their seeds. */
static const struct {
	const char *class, *field;
} seed_sources[] = {
	{ "java/util/concurrent/ThreadLocalRandom", "seeder" },
	{ "java/util/SplittableRandom", "defaultGen" },
	{ "java/util/Random", "seedUniquifier" },
};

struct random_target {
	jweak object;
	enum random_kind kind;
};

struct random_targets {
	struct random_target *list;
	size_t count, room;
};

static void add_target(JNIEnv *jni, struct random_targets *targets, jobject object,
		       enum random_kind kind)
{
	if (targets->count == targets->room) {
		size_t room = targets->room ? targets->room * 2 : 64;
		struct random_target *bigger = realloc(targets->list, room * sizeof(*bigger));

		if (!bigger)
			return;
		targets->list = bigger;
		targets->room = room;
	}
	targets->list[targets->count++] = (struct random_target){
		.object = (*jni)->NewWeakGlobalRef(jni, object),
		.kind = kind,
	};
}

static void forget_targets(JNIEnv *jni, struct random_targets *targets)
{
	for (size_t i = 0; i < targets->count; i++)
		(*jni)->DeleteWeakGlobalRef(jni, targets->list[i].object);
	targets->count = 0;
}

static const struct random_class *class_of_interest(jvmtiEnv *jvmti, jclass class)
{
	const struct random_class *found = NULL;
	char *signature = NULL;

	if ((*jvmti)->GetClassSignature(jvmti, class, &signature, NULL) != JVMTI_ERROR_NONE)
		return NULL;
	for (size_t i = 0; i < sizeof(random_classes) / sizeof(random_classes[0]); i++)
		if (strcmp(signature, random_classes[i].signature) == 0)
			found = &random_classes[i];
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)signature);
	return found;
}

/* On the VM thread, at a safepoint: no JNI. Instances get the tag of their class. */
static jint JNICALL tag_instance(jlong class_tag, jlong size, jlong *tag, jint length,
				 void *user_data)
{
	(void)size;
	(void)length;
	(void)user_data;
	*tag = class_tag;
	return 0;
}

/* Tags the loaded classes of interest with their kind; returns whether there are any. */
static bool tag_classes(jvmtiEnv *jvmti, JNIEnv *jni, bool set)
{
	jclass *classes = NULL;
	jint count = 0;
	bool any = false;

	if ((*jvmti)->GetLoadedClasses(jvmti, &count, &classes) != JVMTI_ERROR_NONE)
		return false;
	for (jint i = 0; i < count; i++) {
		const struct random_class *found = class_of_interest(jvmti, classes[i]);

		if (found)
			any |= (*jvmti)->SetTag(jvmti, classes[i], set ? found->kind : 0) ==
			       JVMTI_ERROR_NONE;
		(*jni)->DeleteLocalRef(jni, classes[i]);
	}
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)classes);
	return any;
}

static void take_tagged(struct agent *agent, JNIEnv *jni)
{
	const jlong tags[] = { RANDOM_NATIVE_BUFFER, RANDOM_SHA1PRNG, RANDOM_DRBG, RANDOM_THREAD };
	jobject *objects = NULL;
	jlong *kinds = NULL;
	jint count = 0;

	if ((*agent->jvmti)->GetObjectsWithTags(agent->jvmti, 4, tags, &count, &objects, &kinds) !=
	    JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++) {
		(void)(*agent->jvmti)->SetTag(agent->jvmti, objects[i], 0);
		add_target(jni, agent->random, objects[i], (enum random_kind)kinds[i]);
		(*jni)->DeleteLocalRef(jni, objects[i]);
	}
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)objects);
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)kinds);
}

static void find_platform_threads(struct agent *agent, JNIEnv *jni)
{
	jthread *threads = NULL;
	jint count = 0;

	if ((*agent->jvmti)->GetAllThreads(agent->jvmti, &count, &threads) != JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++) {
		add_target(jni, agent->random, threads[i], RANDOM_THREAD);
		(*jni)->DeleteLocalRef(jni, threads[i]);
	}
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)threads);
}

void random_find(struct agent *agent, JNIEnv *jni)
{
	const jvmtiHeapCallbacks callbacks = { .heap_iteration_callback = tag_instance };

	if (!agent->random)
		agent->random = calloc(1, sizeof(*agent->random));
	if (!agent->random)
		return;
	forget_targets(jni, agent->random);
	find_platform_threads(agent, jni);
	if (!tag_classes(agent->jvmti, jni, true))
		return;
	(void)(*agent->jvmti)
		->IterateThroughHeap(agent->jvmti, JVMTI_HEAP_FILTER_CLASS_UNTAGGED, NULL,
				     &callbacks, NULL);
	(void)tag_classes(agent->jvmti, jni, false);
	take_tagged(agent, jni);
}

static jlong fresh_long(void)
{
	jlong value = 0;

	while (getrandom(&value, sizeof(value), 0) != (ssize_t)sizeof(value))
		;
	return value;
}

static jbyteArray fresh_bytes(JNIEnv *jni)
{
	jbyte bytes[48];
	jbyteArray array = (*jni)->NewByteArray(jni, sizeof(bytes));

	while (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
		;
	if (array)
		(*jni)->SetByteArrayRegion(jni, array, 0, sizeof(bytes), bytes);
	return array;
}

static void set_int(JNIEnv *jni, jobject object, const char *name, jint value)
{
	jfieldID field = (*jni)->GetFieldID(jni, (*jni)->GetObjectClass(jni, object), name, "I");

	if (field)
		(*jni)->SetIntField(jni, object, field, value);
}

static void set_long(JNIEnv *jni, jobject object, const char *name, jlong value)
{
	jfieldID field = (*jni)->GetFieldID(jni, (*jni)->GetObjectClass(jni, object), name, "J");

	if (field)
		(*jni)->SetLongField(jni, object, field, value);
}

static void call_reseed(JNIEnv *jni, jobject object, const char *name, const char *signature)
{
	jmethodID method =
		(*jni)->GetMethodID(jni, (*jni)->GetObjectClass(jni, object), name, signature);

	if (method)
		(*jni)->CallVoidMethod(jni, object, method, fresh_bytes(jni), NULL);
}

static void renew(JNIEnv *jni, const struct random_target *target, jobject object)
{
	switch (target->kind) {
	case RANDOM_NATIVE_BUFFER:
		set_int(jni, object, "buffered", 0);
		break;
	case RANDOM_SHA1PRNG:
		call_reseed(jni, object, "engineSetSeed", "([B)V");
		break;
	case RANDOM_DRBG:
		call_reseed(jni, object, "reseedAlgorithm", "([B[B)V");
		break;
	case RANDOM_THREAD:
		set_long(jni, object, "threadLocalRandomSeed", fresh_long());
		break;
	}
}

static void set_atomic_long(JNIEnv *jni, jobject atomic)
{
	jmethodID set =
		(*jni)->GetMethodID(jni, (*jni)->GetObjectClass(jni, atomic), "set", "(J)V");

	if (set)
		(*jni)->CallVoidMethod(jni, atomic, set, fresh_long());
}

static void renew_seed_source(JNIEnv *jni, const char *class_name, const char *field_name)
{
	jclass class = (*jni)->FindClass(jni, class_name);
	jfieldID field =
		class ? (*jni)->GetStaticFieldID(jni, class, field_name,
						 "Ljava/util/concurrent/atomic/AtomicLong;")
		      : NULL;
	jobject atomic = field ? (*jni)->GetStaticObjectField(jni, class, field) : NULL;

	if (atomic)
		set_atomic_long(jni, atomic);
}

/* Math.random() has one java.util.Random of its own; no program can have seeded it. */
static void renew_math_random(JNIEnv *jni)
{
	jclass holder = (*jni)->FindClass(jni, "java/lang/Math$RandomNumberGeneratorHolder");
	jfieldID generator = holder ? (*jni)->GetStaticFieldID(jni, holder, "randomNumberGenerator",
							       "Ljava/util/Random;")
				    : NULL;
	jobject random = generator ? (*jni)->GetStaticObjectField(jni, holder, generator) : NULL;
	jclass class = random ? (*jni)->FindClass(jni, "java/util/Random") : NULL;
	jmethodID set_seed = class ? (*jni)->GetMethodID(jni, class, "setSeed", "(J)V") : NULL;

	if (set_seed)
		(*jni)->CallVoidMethod(jni, random, set_seed, fresh_long());
}

/* A name that this JDK does not have, or an object that was not in use, is no failure. */
static void clear_exception(JNIEnv *jni)
{
	if ((*jni)->ExceptionCheck(jni))
		(*jni)->ExceptionClear(jni);
}

void random_renew(struct agent *agent, JNIEnv *jni)
{
	for (size_t i = 0; agent->random && i < agent->random->count; i++) {
		const struct random_target *target = &agent->random->list[i];
		jobject object = (*jni)->NewLocalRef(jni, target->object);

		if (object)
			renew(jni, target, object);
		clear_exception(jni);
		(*jni)->DeleteLocalRef(jni, object);
	}
	for (size_t i = 0; i < sizeof(seed_sources) / sizeof(seed_sources[0]); i++) {
		renew_seed_source(jni, seed_sources[i].class, seed_sources[i].field);
		clear_exception(jni);
	}
	renew_math_random(jni);
	clear_exception(jni);
	if (agent->random)
		forget_targets(jni, agent->random);
}
