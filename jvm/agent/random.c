/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clones of one image must not draw the same numbers, nor use the same keys of JSSE for new session
 * tickets. Every generator that the program did not
 * seed itself is found before the capture, by one pass over the heap while all other threads are
 * suspended, and held weakly. In the restored process only fields are written: no Java code runs,
 * so no lock that a suspended thread holds can be in the way.
 *
 * Class and field names are the same on JDK 17, 21 and 25; one that is missing is skipped.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "coord/openssl.h"
#include "lookup.h"

enum write_kind {
	WRITE_ZERO_INT,	    /* forget what is buffered, or which key is used */
	WRITE_RANDOM_LONG,  /* a new seed */
	WRITE_RANDOM_BYTES, /* a new state: the content of a byte[] */
};

struct random_field {
	const char *class;
	const char *field, *type;
	enum write_kind kind;
};

#define ATOMIC_LONG "Ljava/util/concurrent/atomic/AtomicLong;"

/* Of every instance. */
static const struct random_field instance_fields[] = {
	{ "sun/security/provider/NativePRNG$RandomIO", "buffered", "I", WRITE_ZERO_INT },
	{ "sun/security/provider/SecureRandom", "state", "[B", WRITE_RANDOM_BYTES },
	{ "sun/security/provider/SecureRandom", "remCount", "I", WRITE_ZERO_INT },
	{ "sun/security/provider/HashDrbg", "v", "[B", WRITE_RANDOM_BYTES },
	{ "sun/security/provider/HashDrbg", "c", "[B", WRITE_RANDOM_BYTES },
	{ "sun/security/provider/HmacDrbg", "k", "[B", WRITE_RANDOM_BYTES },
	{ "sun/security/provider/HmacDrbg", "v", "[B", WRITE_RANDOM_BYTES },
	{ "sun/security/provider/CtrDrbg", "k", "[B", WRITE_RANDOM_BYTES },
	{ "sun/security/provider/CtrDrbg", "v", "[B", WRITE_RANDOM_BYTES },
	{ "sun/security/pkcs11/P11SecureRandom", "ibuffered", "I", WRITE_ZERO_INT },
	{ "sun/security/pkcs11/P11SecureRandom", "buffered", "I", WRITE_ZERO_INT },
	/* JSSE: key 0 is none, and another one is made for the next session ticket. */
	{ "sun/security/ssl/SSLSessionContextImpl", "currentKeyID", "I", WRITE_ZERO_INT },
	{ "sun/security/ssl/HelloCookieManager$T13HelloCookieManager", "cookieSecret", "[B",
	  WRITE_RANDOM_BYTES },
	{ "sun/security/ssl/HelloCookieManager$D10HelloCookieManager", "cookieSecret", "[B",
	  WRITE_RANDOM_BYTES },
	{ "java/lang/VirtualThread", "threadLocalRandomSeed", "J", WRITE_RANDOM_LONG },
};
enum { NR_INSTANCE_FIELDS = sizeof(instance_fields) / sizeof(instance_fields[0]) };

/* Static fields that hold an AtomicLong from which new generators take their seeds. A class that
 * ends in '/' stands for the classes of a package. */
static const struct {
	const char *class, *field;
} seed_sources[] = {
	{ "java/util/concurrent/ThreadLocalRandom", "seeder" },
	{ "java/util/SplittableRandom", "defaultGen" },
	{ "java/util/Random", "seedUniquifier" },
	{ "jdk/random/", "defaultGen" }, /* a module of its own in JDK 17 to 21 */
	{ "jdk/random/", "DEFAULT_GEN" },
	{ "jdk/internal/random/", "defaultGen" }, /* the same since then */
	{ "jdk/internal/random/", "DEFAULT_GEN" },
};

/* Math.random() has one java.util.Random of its own; no program can have seeded it. */
#define MATH_RANDOM_HOLDER "java/lang/Math$RandomNumberGeneratorHolder"

struct random_write {
	jweak object;
	jfieldID field;
	enum write_kind kind;
};

struct random_targets {
	struct random_write *list;
	size_t count, room;
};

static void add_write(JNIEnv *jni, struct random_targets *targets, jobject object, jfieldID field,
		      enum write_kind kind)
{
	if (targets->count == targets->room) {
		size_t room = targets->room ? targets->room * 2 : 64;
		struct random_write *bigger = realloc(targets->list, room * sizeof(*bigger));

		if (!bigger)
			return;
		targets->list = bigger;
		targets->room = room;
	}
	targets->list[targets->count++] = (struct random_write){
		.object = (*jni)->NewWeakGlobalRef(jni, object),
		.field = field,
		.kind = kind,
	};
}

static void forget_targets(JNIEnv *jni, struct random_targets *targets)
{
	for (size_t i = 0; i < targets->count; i++)
		(*jni)->DeleteWeakGlobalRef(jni, targets->list[i].object);
	targets->count = 0;
}

/* ---- finding ------------------------------------------------------------------------------- */

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

/* Whether "La/B;", as JVMTI writes a class, is a/B, or is in the package when that ends in '/'. */
static bool is_class(const char *signature, const char *wanted)
{
	size_t len = strlen(wanted);

	return signature[0] == 'L' && strncmp(signature + 1, wanted, len) == 0 &&
	       (wanted[len - 1] == '/' || strcmp(signature + 1 + len, ";") == 0);
}

/* 1 + the first index in instance_fields with this class, or 0. */
static jlong tag_of(const char *signature)
{
	for (size_t i = 0; i < NR_INSTANCE_FIELDS; i++)
		if (is_class(signature, instance_fields[i].class))
			return (jlong)i + 1;
	return 0;
}

/* The number inside an AtomicLong. */
static void add_atomic_long(struct agent *agent, JNIEnv *jni, jobject atomic)
{
	jclass class = atomic ? (*jni)->GetObjectClass(jni, atomic) : NULL;
	jfieldID value = class ? (*jni)->GetFieldID(jni, class, "value", "J") : NULL;

	if (!lookup_failed(jni) && value)
		add_write(jni, agent->random, atomic, value, WRITE_RANDOM_LONG);
	(*jni)->DeleteLocalRef(jni, class);
}

static void add_seed_source(struct agent *agent, JNIEnv *jni, jclass class, const char *field)
{
	jobject atomic = lookup_static(jni, class, field, ATOMIC_LONG);

	add_atomic_long(agent, jni, atomic);
	(*jni)->DeleteLocalRef(jni, atomic);
}

static void add_math_random(struct agent *agent, JNIEnv *jni, jclass holder)
{
	jobject random = lookup_static(jni, holder, "randomNumberGenerator", "Ljava/util/Random;");
	jclass class = random ? (*jni)->GetObjectClass(jni, random) : NULL;
	jfieldID seed = class ? (*jni)->GetFieldID(jni, class, "seed", ATOMIC_LONG) : NULL;

	if (!lookup_failed(jni) && seed)
		add_atomic_long(agent, jni, (*jni)->GetObjectField(jni, random, seed));
}

/* Only of classes that are initialised: to look at others would run their initialisers, and those
 * may be waiting for a suspended thread. A class initialised later seeds itself by the clock. */
static void add_statics(struct agent *agent, JNIEnv *jni, jclass class, const char *signature)
{
	jint status = 0;

	if ((*agent->jvmti)->GetClassStatus(agent->jvmti, class, &status) != JVMTI_ERROR_NONE ||
	    !(status & JVMTI_CLASS_STATUS_INITIALIZED))
		return;
	for (size_t i = 0; i < sizeof(seed_sources) / sizeof(seed_sources[0]); i++)
		if (is_class(signature, seed_sources[i].class))
			add_seed_source(agent, jni, class, seed_sources[i].field);
	if (is_class(signature, MATH_RANDOM_HOLDER))
		add_math_random(agent, jni, class);
}

static void tag_class(struct agent *agent, JNIEnv *jni, jclass class, const char *signature)
{
	jlong tag = tag_of(signature);

	if (tag)
		(void)(*agent->jvmti)->SetTag(agent->jvmti, class, tag);
	add_statics(agent, jni, class, signature);
}

static void untag_class(struct agent *agent, JNIEnv *jni, jclass class, const char *signature)
{
	(void)jni;
	if (tag_of(signature))
		(void)(*agent->jvmti)->SetTag(agent->jvmti, class, 0);
}

/* All fields of one instance; `first` is where its class begins in instance_fields. */
static void add_instance(JNIEnv *jni, struct random_targets *targets, jobject object, size_t first)
{
	jclass class = (*jni)->GetObjectClass(jni, object);

	for (size_t i = first; i < NR_INSTANCE_FIELDS; i++) {
		const struct random_field *wanted = &instance_fields[i];
		jfieldID field;

		if (strcmp(wanted->class, instance_fields[first].class) != 0)
			break;
		field = (*jni)->GetFieldID(jni, class, wanted->field, wanted->type);
		if (!lookup_failed(jni) && field)
			add_write(jni, targets, object, field, wanted->kind);
	}
	(*jni)->DeleteLocalRef(jni, class);
}

static void add_tagged(struct agent *agent, JNIEnv *jni)
{
	jlong tags[NR_INSTANCE_FIELDS], *found = NULL;
	jobject *objects = NULL;
	jint count = 0;

	for (size_t i = 0; i < NR_INSTANCE_FIELDS; i++)
		tags[i] = (jlong)i + 1;
	if ((*agent->jvmti)
		    ->GetObjectsWithTags(agent->jvmti, NR_INSTANCE_FIELDS, tags, &count, &objects,
					 &found) != JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++) {
		(void)(*agent->jvmti)->SetTag(agent->jvmti, objects[i], 0);
		add_instance(jni, agent->random, objects[i], (size_t)found[i] - 1);
		(*jni)->DeleteLocalRef(jni, objects[i]);
	}
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)objects);
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)found);
}

static void add_from_classes(struct agent *agent, JNIEnv *jni)
{
	const jvmtiHeapCallbacks callbacks = { .heap_iteration_callback = tag_instance };

	classes_visit(agent, jni, tag_class);
	(void)(*agent->jvmti)
		->IterateThroughHeap(agent->jvmti, JVMTI_HEAP_FILTER_CLASS_UNTAGGED, NULL,
				     &callbacks, NULL);
	classes_visit(agent, jni, untag_class);
	add_tagged(agent, jni);
}

static void add_platform_threads(struct agent *agent, JNIEnv *jni)
{
	jclass class = (*jni)->FindClass(jni, "java/lang/Thread");
	jfieldID seed = class ? (*jni)->GetFieldID(jni, class, "threadLocalRandomSeed", "J") : NULL;
	jthread *threads = NULL;
	jint count = 0;

	if (lookup_failed(jni) || !seed ||
	    (*agent->jvmti)->GetAllThreads(agent->jvmti, &count, &threads) != JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++) {
		add_write(jni, agent->random, threads[i], seed, WRITE_RANDOM_LONG);
		(*jni)->DeleteLocalRef(jni, threads[i]);
	}
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)threads);
}

void random_find(struct agent *agent, JNIEnv *jni)
{
	if (!agent->random)
		agent->random = calloc(1, sizeof(*agent->random));
	if (!agent->random || (*jni)->PushLocalFrame(jni, 64) != JNI_OK)
		return;
	forget_targets(jni, agent->random);
	add_platform_threads(agent, jni);
	add_from_classes(agent, jni);
	(void)(*jni)->PopLocalFrame(jni, NULL);
}

/* ---- renewing ------------------------------------------------------------------------------ */

/* getrandom(2) gives requests of up to 256 bytes whole, once the kernel's pool is ready. */
static void fresh(void *bytes, size_t size)
{
	while (getrandom(bytes, size, 0) != (ssize_t)size)
		;
}

static void renew_bytes(JNIEnv *jni, jobject object, jfieldID field)
{
	jbyte bytes[256];
	jbyteArray array = (*jni)->GetObjectField(jni, object, field);
	jsize length = array ? (*jni)->GetArrayLength(jni, array) : 0;

	if (length > 0 && length <= (jsize)sizeof(bytes)) {
		fresh(bytes, (size_t)length);
		(*jni)->SetByteArrayRegion(jni, array, 0, length, bytes);
	}
	(*jni)->DeleteLocalRef(jni, array);
}

static void renew(JNIEnv *jni, jobject object, const struct random_write *write)
{
	jlong seed;

	switch (write->kind) {
	case WRITE_ZERO_INT:
		(*jni)->SetIntField(jni, object, write->field, 0);
		break;
	case WRITE_RANDOM_LONG:
		fresh(&seed, sizeof(seed));
		(*jni)->SetLongField(jni, object, write->field, seed);
		break;
	case WRITE_RANDOM_BYTES:
		renew_bytes(jni, object, write->field);
		break;
	}
}

void random_renew(struct agent *agent, JNIEnv *jni)
{
	for (size_t i = 0; agent->random && i < agent->random->count; i++) {
		const struct random_write *write = &agent->random->list[i];
		jobject object = (*jni)->NewLocalRef(jni, write->object);

		if (object)
			renew(jni, object, write);
		(*jni)->DeleteLocalRef(jni, object);
	}
	thump_openssl_renew();
}
