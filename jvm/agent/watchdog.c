/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks that do not end. A thread of its own looks every few milliseconds at the thread that runs a
 * hook; when a single-threaded hook waits for somebody who is suspended it lets everybody go on at
 * once, and the checkpoint fails. What can be known without waiting for the hook's time limit:
 *
 *   BLOCKED    the contended monitor has an owner, and that is suspended; or JVMTI tells none for a
 *              while, and there are virtual threads: then it is one of these
 *   PARKED     without a timeout, by a lock of java.util.concurrent whose owner is suspended
 *   RUNNABLE   it uses no processor time, and somebody was suspended in a class initialiser: a
 *              thread that waits for the initialisation of a class is RUNNABLE and has no owner.
 *              A virtual thread that initialises a class has a carrier, as it cannot be unmounted
 *
 * All else (latches, futures, Object.wait) can only run into the limit: then the hook is
 * interrupted, and stopped (JVMTI StopThread) if it does not heed that. One that is BLOCKED or in
 * native code heeds neither; who waits for the checkpoint is told so.
 *
 * What is not a hook must be quick between the suspension of the others and the capture. When it is
 * not, whatever it waits for, they go on as well.
 *
 * It only uses JVMTI and reads fields: no Java code runs here while others are suspended. It is
 * attached before anybody is: to make a java.lang.Thread takes locks.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "words.h"

#define NS_PER_MS	  UINT64_C(1000000)
#define LOOK_INTERVAL_NS  (10 * NS_PER_MS)
#define NO_CPU_NS	  (200 * NS_PER_MS)
#define HARDLY_ANY_CPU_NS (2 * NS_PER_MS)
#define GRACE_NS	  (1000 * NS_PER_MS)
#define MAX_FRAMES	  30

/* For what the agent does itself while others are suspended; it looks at every object, so the more
 * memory, the longer. */
#define HURRY_NS	 (20000 * NS_PER_MS)
#define HURRY_PER_GIB_NS (1000 * NS_PER_MS)

#define OWNABLE "java/util/concurrent/locks/AbstractOwnableSynchronizer"

/* One call of a hook. */
struct watched {
	jthread thread;	   /* global reference; NULL: no hook runs */
	pthread_t pthread; /* the same, or its carrier */
	char *name;
	jlong limit_ms;
	uint64_t deadline_ns; /* UINT64_MAX: none */
	bool single_threaded;
	uint64_t cpu_ns, cpu_since_ns; /* processor time it had used, and since when no more */
	bool virtual_seen;	       /* virtual threads were looked through since then */
	bool interrupted, stopped, given_up;
	char *finding; /* once it had to be freed */
};

/* The way of the requesting thread from the suspension of the others to the capture. */
struct hurry {
	uint32_t state; /* enum hurry_state; atomic, as the VM thread must not wait for the lock */
	jthread thread; /* global reference */
	uint64_t deadline_ns;
	char *finding; /* when it was too late */
};

enum hurry_state { HURRY_NONE, HURRY_ON, HURRY_LATE };

struct watchdog {
	struct agent *agent;
	pthread_t pthread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool attached, failed, quit;
	jthread self;		    /* global reference */
	jclass ownable, hook_entry; /* global references */
	jfieldID park_blocker, exclusive_owner, given_up;
	jobject stuck; /* what is thrown into a hook that heeds no interrupt */
	struct watched hook;
	struct hurry hurry;
};

/* ---- who waits for whom -------------------------------------------------------------------- */

struct wait {
	jobject object; /* local references */
	jthread owner;
	bool owner_is_unknown; /* a virtual thread, whichever */
};

static bool is_suspended(struct agent *agent, jthread thread)
{
	jint state = 0;

	return thread &&
	       (*agent->jvmti)->GetThreadState(agent->jvmti, thread, &state) == JVMTI_ERROR_NONE &&
	       (state & JVMTI_THREAD_STATE_SUSPENDED);
}

static void find_monitor(struct watchdog *dog, JNIEnv *jni, struct wait *wait)
{
	jvmtiEnv *jvmti = dog->agent->jvmti;
	jvmtiMonitorUsage usage = { 0 };

	if ((*jvmti)->GetCurrentContendedMonitor(jvmti, dog->hook.thread, &wait->object) !=
		    JVMTI_ERROR_NONE ||
	    !wait->object ||
	    (*jvmti)->GetObjectMonitorUsage(jvmti, wait->object, &usage) != JVMTI_ERROR_NONE)
		return;
	wait->owner = usage.owner;
	for (jint i = 0; i < usage.waiter_count; i++)
		(*jni)->DeleteLocalRef(jni, usage.waiters[i]);
	for (jint i = 0; i < usage.notify_waiter_count; i++)
		(*jni)->DeleteLocalRef(jni, usage.notify_waiters[i]);
	words_release(jvmti, usage.waiters);
	words_release(jvmti, usage.notify_waiters);
}

static void find_lock(struct watchdog *dog, JNIEnv *jni, struct wait *wait)
{
	wait->object = (*jni)->GetObjectField(jni, dog->hook.thread, dog->park_blocker);
	if (wait->object && (*jni)->IsInstanceOf(jni, wait->object, dog->ownable))
		wait->owner = (*jni)->GetObjectField(jni, wait->object, dog->exclusive_owner);
}

/* Whether it has used next to no processor time for a while. */
static bool idles(struct watched *hook, uint64_t now)
{
	clockid_t clock;
	uint64_t cpu_ns;

	if (pthread_getcpuclockid(hook->pthread, &clock) != 0)
		return false;
	cpu_ns = agent_now_ns(clock);
	if (hook->cpu_since_ns == 0 || cpu_ns - hook->cpu_ns > HARDLY_ANY_CPU_NS) {
		hook->cpu_ns = cpu_ns;
		hook->cpu_since_ns = now;
		hook->virtual_seen = false;
	}
	return now - hook->cpu_since_ns >= NO_CPU_NS;
}

/* The class that a frame initialises, or NULL. */
static jclass initialised_by(jvmtiEnv *jvmti, JNIEnv *jni, jmethodID method)
{
	char *name = NULL;
	jclass class = NULL;
	jint status = JVMTI_CLASS_STATUS_INITIALIZED;
	bool is_initialiser;

	if ((*jvmti)->GetMethodName(jvmti, method, &name, NULL, NULL) != JVMTI_ERROR_NONE)
		return NULL;
	is_initialiser = strcmp(name, "<clinit>") == 0;
	words_release(jvmti, name);
	if (!is_initialiser ||
	    (*jvmti)->GetMethodDeclaringClass(jvmti, method, &class) != JVMTI_ERROR_NONE)
		return NULL;
	(void)(*jvmti)->GetClassStatus(jvmti, class, &status);
	if (!(status & JVMTI_CLASS_STATUS_INITIALIZED))
		return class;
	(*jni)->DeleteLocalRef(jni, class);
	return NULL;
}

static bool find_initialiser_in(struct watchdog *dog, JNIEnv *jni, jthread thread,
				struct wait *wait)
{
	jvmtiEnv *jvmti = dog->agent->jvmti;
	jvmtiFrameInfo frames[MAX_FRAMES];
	jint count = 0;

	if ((*jvmti)->GetStackTrace(jvmti, thread, 0, MAX_FRAMES, frames, &count) !=
	    JVMTI_ERROR_NONE)
		return false;
	for (jint i = 0; i < count; i++) {
		wait->object = initialised_by(jvmti, jni, frames[i].method);
		if (wait->object) {
			wait->owner = (*jni)->NewLocalRef(jni, thread);
			return true;
		}
	}
	return false;
}

/* Once: it takes a pass over the heap. */
static void find_virtual_initialiser(struct watchdog *dog, JNIEnv *jni, struct wait *wait)
{
	jthread *threads;
	jint count;

	if (dog->hook.virtual_seen || !threads_virtual_too(dog->agent))
		return;
	dog->hook.virtual_seen = true;
	threads = virtual_threads(dog->agent, jni, true, &count);
	for (jint i = 0; i < count; i++)
		if (find_initialiser_in(dog, jni, threads[i], wait))
			break;
	virtual_threads_free(dog->agent, jni, threads, count);
}

static void find_initialiser(struct watchdog *dog, JNIEnv *jni, struct wait *wait)
{
	jint count;
	const jthread *threads = threads_suspended(dog->agent, &count);

	for (jint i = 0; i < count; i++)
		if (find_initialiser_in(dog, jni, threads[i], wait))
			return;
	find_virtual_initialiser(dog, jni, wait);
}

static void find_wait(struct watchdog *dog, JNIEnv *jni, jint state, uint64_t now,
		      struct wait *wait)
{
	const jint parked = JVMTI_THREAD_STATE_PARKED | JVMTI_THREAD_STATE_WAITING_INDEFINITELY;

	if (state & JVMTI_THREAD_STATE_BLOCKED_ON_MONITOR_ENTER) {
		find_monitor(dog, jni, wait);
		wait->owner_is_unknown =
			!wait->owner && idles(&dog->hook, now) && threads_virtual_too(dog->agent);
	} else if ((state & parked) == parked) {
		find_lock(dog, jni, wait);
	} else if ((state & JVMTI_THREAD_STATE_RUNNABLE) && idles(&dog->hook, now)) {
		find_initialiser(dog, jni, wait);
	}
}

static void print_owner(struct watchdog *dog, JNIEnv *jni, FILE *out, const struct wait *wait)
{
	if (wait->owner_is_unknown) {
		(void)fputs("a suspended virtual thread (the JVM does not tell which)", out);
		return;
	}
	(void)fputs("the suspended thread ", out);
	words_thread(dog->agent, jni, out, wait->owner);
}

/* What the hook waits for in vain, as text on the heap, or NULL. */
static char *find_deadlock(struct watchdog *dog, JNIEnv *jni, uint64_t now)
{
	struct wait wait = { 0 };
	char *text = NULL;
	size_t size;
	FILE *out;
	jint state = 0;

	if ((*dog->agent->jvmti)->GetThreadState(dog->agent->jvmti, dog->hook.thread, &state) !=
	    JVMTI_ERROR_NONE)
		return NULL;
	find_wait(dog, jni, state, now, &wait);
	if (!wait.object || !(wait.owner_is_unknown || is_suspended(dog->agent, wait.owner)))
		return NULL;
	out = open_memstream(&text, &size);
	if (!out)
		return NULL;
	(void)fprintf(out, "the single-threaded hook %s waits for ", dog->hook.name);
	if (state & JVMTI_THREAD_STATE_RUNNABLE) {
		(void)fputs("the initialisation of ", out);
		words_class(dog->agent->jvmti, out, wait.object);
	} else {
		words_object(dog->agent, jni, out, wait.object);
	}
	(void)fputs(", which is in the hands of ", out);
	print_owner(dog, jni, out, &wait);
	words_stack(dog->agent, jni, out, dog->hook.thread);
	if (wait.owner)
		words_stack(dog->agent, jni, out, wait.owner);
	return fclose(out) == 0 ? text : NULL;
}

static char *describe_limit(struct watchdog *dog, JNIEnv *jni)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	(void)fprintf(out, "the hook %s has not ended within %lld ms", dog->hook.name,
		      (long long)dog->hook.limit_ms);
	words_stack(dog->agent, jni, out, dog->hook.thread);
	return fclose(out) == 0 ? text : NULL;
}

/* ---- looking ------------------------------------------------------------------------------- */

/* A virtual thread must be suspended for that (JVMTI 21, StopThread). */
static void stop_thread(jvmtiEnv *jvmti, jthread thread, jobject exception)
{
	if ((*jvmti)->StopThread(jvmti, thread, exception) != JVMTI_ERROR_THREAD_NOT_SUSPENDED ||
	    (*jvmti)->SuspendThread(jvmti, thread) != JVMTI_ERROR_NONE)
		return;
	(void)(*jvmti)->StopThread(jvmti, thread, exception);
	(void)(*jvmti)->ResumeThread(jvmti, thread);
}

/* Who asks for another checkpoint. */
static void tell_others(struct watchdog *dog, JNIEnv *jni, const char *text)
{
	jstring string = (*jni)->NewStringUTF(jni, text);

	if (string)
		(*jni)->SetStaticObjectField(jni, dog->hook_entry, dog->given_up, string);
	(*jni)->ExceptionClear(jni);
	(*jni)->DeleteLocalRef(jni, string);
}

/* The checkpoint waits for the hook, whatever we do; whoever waits for the checkpoint need not. */
static void give_up(struct watchdog *dog, JNIEnv *jni)
{
	char *limit = describe_limit(dog, jni), *text = NULL;

	if (limit &&
	    asprintf(&text,
		     "%s\n  it heeds neither an interrupt nor an exception: no checkpoint is "
		     "made, and none can be before it ends",
		     limit) >= 0) {
		agent_complain(dog->agent, text, JVMTI_ERROR_NONE);
		words_fold(text);
		tell_others(dog, jni, text);
		server_give_up(dog->agent, dog->hook.pthread, text);
	}
	free(text);
	free(limit);
}

/* A hook over its time: interrupted first, stopped when that did not help. */
static void press(struct watchdog *dog, JNIEnv *jni, uint64_t now)
{
	jvmtiEnv *jvmti = dog->agent->jvmti;
	struct watched *hook = &dog->hook;

	if (!hook->interrupted) {
		hook->interrupted = true;
		(void)(*jvmti)->InterruptThread(jvmti, hook->thread);
	} else if (!hook->stopped && now >= hook->deadline_ns + GRACE_NS) {
		hook->stopped = true;
		stop_thread(jvmti, hook->thread, dog->stuck);
	} else if (!hook->given_up && now >= hook->deadline_ns + 2 * GRACE_NS) {
		hook->given_up = true;
		give_up(dog, jni);
	}
}

static void look(struct watchdog *dog, JNIEnv *jni)
{
	struct watched *hook = &dog->hook;
	uint64_t now = agent_now_ns(CLOCK_MONOTONIC);
	bool over = now >= hook->deadline_ns;

	if ((*jni)->PushLocalFrame(jni, 64) != JNI_OK)
		return;
	if (!hook->finding && hook->single_threaded)
		hook->finding = find_deadlock(dog, jni, now);
	if (!hook->finding && over)
		hook->finding = describe_limit(dog, jni);
	if (hook->finding)
		threads_resume(dog->agent, jni);
	if (over)
		press(dog, jni, now);
	(void)(*jni)->PopLocalFrame(jni, NULL);
}

/* ---- too late for the capture -------------------------------------------------------------- */

static bool hurries(const struct watchdog *dog)
{
	return __atomic_load_n(&dog->hurry.state, __ATOMIC_ACQUIRE) == HURRY_ON;
}

static uint64_t hurry_deadline_ns(void)
{
	uint64_t resident_pages = 0, limit_ns = HURRY_NS;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file && fscanf(file, "%*u %" SCNu64, &resident_pages) == 1)
		limit_ns += (resident_pages >> 18) * HURRY_PER_GIB_NS; /* of 4 KiB */
	if (file)
		(void)fclose(file);
	return agent_now_ns(CLOCK_MONOTONIC) + limit_ns;
}

/* One line: that is how the engine's answers are read. */
static char *describe_late(struct watchdog *dog, JNIEnv *jni)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	(void)fputs("all other threads were suspended, and the one that makes the checkpoint did "
		    "not get on:",
		    out);
	words_stack(dog->agent, jni, out, dog->hurry.thread);
	if (fclose(out) != 0)
		return NULL;
	words_fold(text);
	return text;
}

static void look_at_hurry(struct watchdog *dog, JNIEnv *jni)
{
	uint32_t on = HURRY_ON;

	if (agent_now_ns(CLOCK_MONOTONIC) < dog->hurry.deadline_ns ||
	    (*jni)->PushLocalFrame(jni, 64) != JNI_OK)
		return;
	free(dog->hurry.finding);
	dog->hurry.finding = describe_late(dog, jni);
	/* Either the VM thread makes the capture, or we let everybody go on. */
	if (__atomic_compare_exchange_n(&dog->hurry.state, &on, HURRY_LATE, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		threads_resume(dog->agent, jni);
	(void)(*jni)->PopLocalFrame(jni, NULL);
}

static struct timespec next_look(void)
{
	uint64_t at = agent_now_ns(CLOCK_MONOTONIC) + LOOK_INTERVAL_NS;

	return (struct timespec){ (time_t)(at / UINT64_C(1000000000)),
				  (long)(at % UINT64_C(1000000000)) };
}

/* With the lock held but while it waits. */
static void serve(struct watchdog *dog, JNIEnv *jni)
{
	while (!dog->quit) {
		struct timespec at = next_look();
		int rc;

		if (!dog->hook.thread && !hurries(dog)) {
			(void)pthread_cond_wait(&dog->changed, &dog->lock);
			continue;
		}
		rc = pthread_cond_timedwait(&dog->changed, &dog->lock, &at);
		if (rc == ETIMEDOUT && dog->hook.thread)
			look(dog, jni);
		else if (rc == ETIMEDOUT && hurries(dog))
			look_at_hurry(dog, jni);
	}
}

static void *watchdog_main(void *arg)
{
	struct watchdog *dog = arg;
	JavaVM *vm = dog->agent->vm;
	JavaVMAttachArgs args = { .version = JNI_VERSION_9, .name = (char *)"thump watchdog" };
	JNIEnv *jni = NULL;
	jthread self = NULL;
	jint rc = (*vm)->AttachCurrentThreadAsDaemon(vm, (void **)&jni, &args);

	(void)pthread_mutex_lock(&dog->lock);
	if (rc == JNI_OK &&
	    (*dog->agent->jvmti)->GetCurrentThread(dog->agent->jvmti, &self) == JVMTI_ERROR_NONE)
		dog->self = (*jni)->NewGlobalRef(jni, self);
	dog->attached = dog->self != NULL;
	dog->failed = !dog->attached;
	(void)pthread_cond_broadcast(&dog->changed);
	if (dog->attached)
		serve(dog, jni);
	(void)pthread_mutex_unlock(&dog->lock);
	if (rc == JNI_OK)
		(void)(*vm)->DetachCurrentThread(vm);
	return NULL;
}

/* ---- from the requesting thread ------------------------------------------------------------ */

static jobject make_stuck(JNIEnv *jni)
{
	jclass class = (*jni)->FindClass(jni, "thump/jvm/HookStuck");
	jmethodID constructor =
		class ? (*jni)->GetMethodID(jni, class, "<init>", "(Ljava/lang/String;)V") : NULL;
	jstring text = constructor ? (*jni)->NewStringUTF(jni, "stopped: it took too long") : NULL;
	jobject stuck = text ? (*jni)->NewObject(jni, class, constructor, text) : NULL;

	return stuck ? (*jni)->NewGlobalRef(jni, stuck) : NULL;
}

static bool look_up(struct watchdog *dog, JNIEnv *jni)
{
	jclass thread = (*jni)->FindClass(jni, "java/lang/Thread");
	jclass ownable = thread ? (*jni)->FindClass(jni, OWNABLE) : NULL;
	jclass hook_entry = ownable ? (*jni)->FindClass(jni, "thump/jvm/HookEntry") : NULL;

	if (!hook_entry)
		return false;
	dog->ownable = (*jni)->NewGlobalRef(jni, ownable);
	dog->hook_entry = (*jni)->NewGlobalRef(jni, hook_entry);
	dog->given_up = (*jni)->GetStaticFieldID(jni, hook_entry, "givenUp", "Ljava/lang/String;");
	dog->park_blocker = (*jni)->GetFieldID(jni, thread, "parkBlocker", "Ljava/lang/Object;");
	if (dog->park_blocker && dog->given_up)
		dog->exclusive_owner = (*jni)->GetFieldID(jni, ownable, "exclusiveOwnerThread",
							  "Ljava/lang/Thread;");
	if (dog->exclusive_owner)
		dog->stuck = make_stuck(jni);
	return dog->stuck != NULL;
}

static bool start(struct watchdog *dog)
{
	pthread_condattr_t attributes;

	(void)pthread_mutex_init(&dog->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&dog->changed, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	if (agent_create_thread(&dog->pthread, watchdog_main, dog) != 0)
		return false;
	(void)pthread_mutex_lock(&dog->lock);
	while (!dog->attached && !dog->failed)
		(void)pthread_cond_wait(&dog->changed, &dog->lock);
	(void)pthread_mutex_unlock(&dog->lock);
	return true;
}

/* Without a watchdog (no memory, no thread) hooks run unwatched. */
void watchdog_begin(struct agent *agent, JNIEnv *jni)
{
	struct watchdog *dog = calloc(1, sizeof(*dog));

	if (!dog)
		return;
	dog->agent = agent;
	if (look_up(dog, jni) && start(dog)) {
		agent->watchdog = dog;
		return;
	}
	(*jni)->ExceptionClear(jni);
	(*jni)->DeleteGlobalRef(jni, dog->ownable);
	(*jni)->DeleteGlobalRef(jni, dog->hook_entry);
	(*jni)->DeleteGlobalRef(jni, dog->stuck);
	free(dog);
}

void watchdog_end(struct agent *agent, JNIEnv *jni)
{
	struct watchdog *dog = agent->watchdog;

	if (!dog)
		return;
	(void)pthread_mutex_lock(&dog->lock);
	dog->quit = true;
	(void)pthread_cond_broadcast(&dog->changed);
	(void)pthread_mutex_unlock(&dog->lock);
	(void)pthread_join(dog->pthread, NULL);
	agent->watchdog = NULL;
	(*jni)->DeleteGlobalRef(jni, dog->self);
	(*jni)->DeleteGlobalRef(jni, dog->ownable);
	(*jni)->DeleteGlobalRef(jni, dog->hook_entry);
	(*jni)->DeleteGlobalRef(jni, dog->stuck);
	(void)pthread_cond_destroy(&dog->changed);
	(void)pthread_mutex_destroy(&dog->lock);
	free(dog);
}

void watchdog_watch(struct agent *agent, JNIEnv *jni, const char *hook, jlong limit_ms,
		    bool single_threaded)
{
	struct watchdog *dog = agent->watchdog;
	jthread self = NULL;

	if (!dog || (*agent->jvmti)->GetCurrentThread(agent->jvmti, &self) != JVMTI_ERROR_NONE)
		return;
	(void)pthread_mutex_lock(&dog->lock);
	dog->hook = (struct watched){
		.thread = (*jni)->NewGlobalRef(jni, self),
		.pthread = pthread_self(),
		.name = strdup(hook),
		.limit_ms = limit_ms,
		.deadline_ns =
			limit_ms ? agent_now_ns(CLOCK_MONOTONIC) + (uint64_t)limit_ms * NS_PER_MS
				 : UINT64_MAX,
		.single_threaded = single_threaded,
	};
	(void)pthread_cond_broadcast(&dog->changed);
	(void)pthread_mutex_unlock(&dog->lock);
	(*jni)->DeleteLocalRef(jni, self);
}

char *watchdog_unwatch(struct agent *agent, JNIEnv *jni)
{
	struct watchdog *dog = agent->watchdog;
	char *finding;

	if (!dog)
		return NULL;
	(void)pthread_mutex_lock(&dog->lock);
	finding = dog->hook.finding;
	(*jni)->DeleteGlobalRef(jni, dog->hook.thread);
	free(dog->hook.name);
	dog->hook = (struct watched){ 0 };
	dog->hurry.deadline_ns = hurry_deadline_ns(); /* it had a limit of its own */
	(void)pthread_mutex_unlock(&dog->lock);
	return finding;
}

void watchdog_hurry(struct agent *agent, JNIEnv *jni)
{
	struct watchdog *dog = agent->watchdog;
	jthread self = NULL;

	if (!dog || (*agent->jvmti)->GetCurrentThread(agent->jvmti, &self) != JVMTI_ERROR_NONE)
		return;
	(void)pthread_mutex_lock(&dog->lock);
	dog->hurry = (struct hurry){
		.state = HURRY_ON,
		.thread = (*jni)->NewGlobalRef(jni, self),
		.deadline_ns = hurry_deadline_ns(),
	};
	(void)pthread_cond_broadcast(&dog->changed);
	(void)pthread_mutex_unlock(&dog->lock);
	(*jni)->DeleteLocalRef(jni, self);
}

bool watchdog_reach(struct agent *agent)
{
	struct watchdog *dog = agent->watchdog;
	uint32_t on = HURRY_ON;

	if (dog)
		(void)__atomic_compare_exchange_n(&dog->hurry.state, &on, HURRY_NONE, false,
						  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
	return !dog || on != HURRY_LATE;
}

const char *watchdog_late(const struct agent *agent)
{
	const struct watchdog *dog = agent->watchdog;

	return dog && dog->hurry.finding ? dog->hurry.finding : "it took too long";
}

void watchdog_release(struct agent *agent, JNIEnv *jni)
{
	struct watchdog *dog = agent->watchdog;

	if (!dog)
		return;
	(void)pthread_mutex_lock(&dog->lock);
	(*jni)->DeleteGlobalRef(jni, dog->hurry.thread);
	free(dog->hurry.finding);
	dog->hurry = (struct hurry){ 0 };
	(void)pthread_mutex_unlock(&dog->lock);
}

bool watchdog_is(const struct agent *agent, JNIEnv *jni, jthread thread)
{
	return agent->watchdog && (*jni)->IsSameObject(jni, agent->watchdog->self, thread);
}
