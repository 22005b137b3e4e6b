/* SPDX-License-Identifier: Apache-2.0 */
#include "agent.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Set once by Agent_OnLoad, before any Java code runs, and read-only from then on: RegisterNatives
 * has no place for a context pointer. */
static struct agent *the_agent;

struct agent *agent_get(void)
{
	return the_agent;
}

void agent_complain(struct agent *agent, const char *what, jvmtiError error)
{
	char *name = NULL;

	if (agent && agent->jvmti && error != JVMTI_ERROR_NONE)
		(void)(*agent->jvmti)->GetErrorName(agent->jvmti, error, &name);
	(void)fprintf(stderr, "thump: %s%s%s\n", what, name ? ": " : "", name ? name : "");
	if (name)
		(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)name);
}

int agent_create_thread(pthread_t *thread_ret, void *(*main)(void *), void *arg)
{
	sigset_t all, old;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(thread_ret, NULL, main, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

uint64_t agent_now_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/*
 * A real CRaC JDK has jdk.crac in java.base: the agent has nothing to add there. Asked of the boot
 * loader alone: FindClass asks the system class loader here, which opens every jar of the class
 * path for a name that none of them has, and one that has it does not make a CRaC JDK.
 */
static bool jdk_has_crac(JNIEnv *jni)
{
	jclass class = (*jni)->FindClass(jni, "java/lang/Class");
	jmethodID for_name =
		class ? (*jni)->GetStaticMethodID(
				jni, class, "forName",
				"(Ljava/lang/String;ZLjava/lang/ClassLoader;)Ljava/lang/Class;")
		      : NULL;
	jstring name = for_name ? (*jni)->NewStringUTF(jni, "jdk.crac.Core") : NULL;
	jobject core =
		name ? (*jni)->CallStaticObjectMethod(jni, class, for_name, name, JNI_FALSE, NULL)
		     : NULL;

	(*jni)->ExceptionClear(jni); /* ClassNotFoundException, as a rule */
	return core != NULL;
}

static void enable_event(struct agent *agent, jvmtiEvent event, jvmtiEventMode mode)
{
	jvmtiError error =
		(*agent->jvmti)->SetEventNotificationMode(agent->jvmti, mode, event, NULL);

	if (error != JVMTI_ERROR_NONE)
		agent_complain(agent, "SetEventNotificationMode", error);
}

/* JVMTI's SetBreakpoint or ClearBreakpoint. */
typedef jvmtiError(JNICALL *breakpoint_fn)(jvmtiEnv *jvmti, jmethodID method, jlocation location);

/* At the entry of each method of the class that is the trigger: overloads are, where no signature
 * was given. */
static void change_breakpoints(struct agent *agent, jclass class, breakpoint_fn change)
{
	jmethodID *methods = NULL;
	jint count = 0;

	if ((*agent->jvmti)->GetClassMethods(agent->jvmti, class, &count, &methods) !=
	    JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++) {
		char *name = NULL, *signature = NULL;

		if ((*agent->jvmti)
			    ->GetMethodName(agent->jvmti, methods[i], &name, &signature, NULL) !=
		    JVMTI_ERROR_NONE)
			continue;
		if (strcmp(name, agent->options.trigger_method) == 0 &&
		    (!agent->options.trigger_signature ||
		     strcmp(signature, agent->options.trigger_signature) == 0))
			(void)change(agent->jvmti, methods[i], 0);
		(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)name);
		(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)signature);
	}
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)methods);
}

/* On the thread that loads a class; only enabled while a trigger waits for its class. */
static void JNICALL on_class_prepare(jvmtiEnv *jvmti, JNIEnv *jni, jthread thread, jclass class)
{
	struct agent *agent = agent_get();
	const char *wanted = agent->options.trigger_class;
	size_t len = strlen(wanted);
	char *signature = NULL;

	(void)jni;
	(void)thread;
	if ((*jvmti)->GetClassSignature(jvmti, class, &signature, NULL) != JVMTI_ERROR_NONE)
		return;
	if (signature[0] == 'L' && strncmp(signature + 1, wanted, len) == 0 &&
	    strcmp(signature + 1 + len, ";") == 0) {
		change_breakpoints(agent, class, (*jvmti)->SetBreakpoint);
		enable_event(agent, JVMTI_EVENT_CLASS_PREPARE, JVMTI_DISABLE);
	}
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)signature);
}

/* Runs a checkpoint on this thread. The Java side says on stderr when there is none. */
void agent_request_checkpoint(struct agent *agent, JNIEnv *jni)
{
	(void)(*jni)->CallStaticObjectMethod(jni, agent->coordinator, agent->request, JNI_FALSE);
	if ((*jni)->ExceptionCheck(jni)) {
		(*jni)->ExceptionDescribe(jni);
		(*jni)->ExceptionClear(jni);
	}
}

/*
 * On each thread that enters a trigger method. One of them makes the checkpoint, once: all the
 * breakpoints go before that, so neither a hook nor what is restored comes here again. A thread
 * that is here already only counts on.
 */
static void JNICALL on_breakpoint(jvmtiEnv *jvmti, JNIEnv *jni, jthread thread, jmethodID method,
				  jlocation location)
{
	struct agent *agent = agent_get();
	jclass class;

	(void)thread;
	(void)location;
	if (__atomic_add_fetch(&agent->trigger_entries, 1, __ATOMIC_RELAXED) !=
	    agent->options.trigger_hit)
		return;
	if ((*jvmti)->GetMethodDeclaringClass(jvmti, method, &class) == JVMTI_ERROR_NONE) {
		change_breakpoints(agent, class, (*jvmti)->ClearBreakpoint);
		(*jni)->DeleteLocalRef(jni, class);
	}
	agent_request_checkpoint(agent, jni);
}

static void JNICALL on_vm_init(jvmtiEnv *jvmti, JNIEnv *jni, jthread thread)
{
	struct agent *agent = agent_get();

	(void)jvmti;
	if (jdk_has_crac(jni))
		return;
	critical_learn(agent, jni, thread);
	if (!classes_define(agent, jni)) {
		if ((*jni)->ExceptionCheck(jni))
			(*jni)->ExceptionDescribe(jni);
		agent_complain(agent, "the jdk.crac classes could not be defined",
			       JVMTI_ERROR_NONE);
		return;
	}
	if (agent->options.cpu_level && level_keep(agent))
		agent->cpu_level = agent->options.cpu_level;
	if (!server_start(agent))
		agent_complain(agent, "no checkpoint from outside: the agent thread did not start",
			       JVMTI_ERROR_NONE);
	if (agent->options.trigger_class) {
		enable_event(agent, JVMTI_EVENT_BREAKPOINT, JVMTI_ENABLE);
		enable_event(agent, JVMTI_EVENT_CLASS_PREPARE, JVMTI_ENABLE);
	}
}

/* can_support_virtual_threads is bit 44; headers before JVMTI 21 do not name it. */
enum { VIRTUAL_THREADS_BYTE = 5, VIRTUAL_THREADS_BIT = 0x10 };

static void want_virtual_threads(struct agent *agent, jvmtiCapabilities *capabilities)
{
	jvmtiCapabilities potential;

	if ((*agent->jvmti)->GetPotentialCapabilities(agent->jvmti, &potential) == JVMTI_ERROR_NONE)
		((unsigned char *)capabilities)[VIRTUAL_THREADS_BYTE] |=
			((unsigned char *)&potential)[VIRTUAL_THREADS_BYTE] & VIRTUAL_THREADS_BIT;
}

/* `thump run` lets what it starts be traced under yama's ptrace_scope 1; there is no way to ask for
 * that. */
static bool is_child_of(const char *thump)
{
	char path[40];
	struct stat parent, wanted;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)getppid());
	return thump && stat(path, &parent) == 0 && stat(thump, &wanted) == 0 &&
	       parent.st_dev == wanted.st_dev && parent.st_ino == wanted.st_ino;
}

static bool set_up_jvmti(struct agent *agent)
{
	jvmtiCapabilities capabilities = {
		.can_tag_objects = 1,
		.can_suspend = 1,
		/* For the watchdog. */
		.can_get_current_contended_monitor = 1,
		.can_get_monitor_info = 1,
		.can_get_line_numbers = 1,
		.can_get_source_file_name = 1,
		.can_signal_thread = 1,
		.can_generate_breakpoint_events = agent->options.trigger_class != NULL,
	};
	const jvmtiEventCallbacks callbacks = {
		.VMInit = on_vm_init,
		.ClassPrepare = on_class_prepare,
		.Breakpoint = on_breakpoint,
	};
	jvmtiError error;

	want_virtual_threads(agent, &capabilities);
	error = (*agent->jvmti)->AddCapabilities(agent->jvmti, &capabilities);

	if (error == JVMTI_ERROR_NONE)
		error = (*agent->jvmti)
				->SetEventCallbacks(agent->jvmti, &callbacks, sizeof(callbacks));
	if (error != JVMTI_ERROR_NONE) {
		agent_complain(agent, "JVMTI could not be set up", error);
		return false;
	}
	enable_event(agent, JVMTI_EVENT_VM_INIT, JVMTI_ENABLE);
	return true;
}

/* Anonymous memory of its own: the engine finds it by its address. */
static void *make_pages(size_t size_bytes)
{
	void *page =
		mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

JNIEXPORT jint JNICALL Agent_OnLoad(JavaVM *vm, char *text, void *reserved)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	char problem[512];

	(void)reserved;
	if (!agent)
		return JNI_ERR;
	agent->vm = vm;
	if (!options_parse(text, &agent->options, problem, sizeof(problem))) {
		agent_complain(NULL, problem, JVMTI_ERROR_NONE);
		return JNI_ERR;
	}
	if ((*vm)->GetEnv(vm, (void **)&agent->jvmti, JVMTI_VERSION_9) != JNI_OK) {
		agent_complain(NULL, "this JVM has no JVMTI 9", JVMTI_ERROR_NONE);
		return JNI_ERR;
	}
	agent->traceable = is_child_of(agent->options.thump);
	agent->page = make_pages(sizeof(*agent->page));
	agent->long_text = make_pages(AGENT_LONG_TEXT_SIZE);
	agent->parameters = make_pages(AGENT_PARAMETERS_SIZE);
	the_agent = agent;
	agent->has_clock = clock_take_over(agent);
	leftovers_take_over(agent);
	return agent->page && set_up_jvmti(agent) ? JNI_OK : JNI_ERR;
}
