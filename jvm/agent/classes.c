/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Java classes travel inside this library and are defined with the null loader: no jar, no
 * descriptor, and class data sharing stays as it is (a boot class path appended to would end it).
 */
#include <stdlib.h>
#include <string.h>

#include "agent.h"
#include "classes.h"

jclass classes_define_named(JNIEnv *jni, const char *name)
{
	for (size_t i = 0; i < embedded_classes_count; i++) {
		const struct embedded_class *class = &embedded_classes[i];

		if (strcmp(class->name, name) == 0)
			return (*jni)->DefineClass(jni, class->name, NULL,
						   (const jbyte *)class->start,
						   (jsize)(class->end - class->start));
	}
	return NULL;
}

static bool define_all(JNIEnv *jni)
{
	for (size_t i = 0; i < embedded_classes_count; i++) {
		const struct embedded_class *class = &embedded_classes[i];
		jclass defined;

		if (class->late)
			continue;
		defined = classes_define_named(jni, class->name);
		if (!defined)
			return false;
		(*jni)->DeleteLocalRef(jni, defined);
	}
	return true;
}

static jboolean native_can_checkpoint(JNIEnv *jni, jclass self)
{
	const struct agent_options *options = &agent_get()->options;

	(void)jni;
	(void)self;
	if (server_is_serving(agent_get()))
		return JNI_TRUE; /* who asks brings the engine and the file name */
	return options->image && options->thump ? JNI_TRUE : JNI_FALSE;
}

static void native_begin(JNIEnv *jni, jclass self)
{
	(void)self;
	watchdog_begin(agent_get(), jni);
}

static void native_end(JNIEnv *jni, jclass self)
{
	(void)self;
	watchdog_end(agent_get(), jni);
}

static void native_shrink(JNIEnv *jni, jclass self)
{
	(void)self;
	/* For the classes that it loads: that is not to be done while others are suspended. */
	changes_find(agent_get(), jni);
	heap_shrink(agent_get());
	uncommit_await(agent_get(), jni);
}

/* A text on the heap as a string; NULL stays NULL. */
static jstring take_text(JNIEnv *jni, char *text)
{
	jstring string = text ? (*jni)->NewStringUTF(jni, text) : NULL;

	free(text);
	return string;
}

static jstring native_suspend_others(JNIEnv *jni, jclass self)
{
	struct agent *agent = agent_get();
	char *hindrance;

	(void)self;
	server_hold(agent);
	watchdog_hurry(agent, jni);
	hindrance = threads_suspend(agent, jni);
	if (hindrance) {
		watchdog_release(agent, jni);
		server_let_go(agent);
	}
	return take_text(jni, hindrance);
}

static void native_resume_others(JNIEnv *jni, jclass self)
{
	(void)self;
	times_note(agent_get(), MOMENT_SINGLE);
	threads_resume(agent_get(), jni);
	watchdog_release(agent_get(), jni);
	server_let_go(agent_get());
	times_note(agent_get(), MOMENT_RESUMED);
}

static void native_watch(JNIEnv *jni, jclass self, jstring hook, jlong limit_ms,
			 jboolean single_threaded)
{
	const char *name = (*jni)->GetStringUTFChars(jni, hook, NULL);

	(void)self;
	if (!name)
		return; /* an exception is pending */
	watchdog_watch(agent_get(), jni, name, limit_ms, single_threaded == JNI_TRUE);
	(*jni)->ReleaseStringUTFChars(jni, hook, name);
}

static jstring native_unwatch(JNIEnv *jni, jclass self)
{
	(void)self;
	return take_text(jni, watchdog_unwatch(agent_get(), jni));
}

static jstring native_capture(JNIEnv *jni, jclass self, jboolean dry_run, jstring refused)
{
	struct agent *agent = agent_get();
	const char *text = refused ? (*jni)->GetStringUTFChars(jni, refused, NULL) : NULL;
	uint32_t state = engine_capture(agent, jni, dry_run == JNI_TRUE, text);

	(void)self;
	if (text)
		(*jni)->ReleaseStringUTFChars(jni, refused, text);
	if (state != THUMP_COORD_FAILED)
		return NULL;
	return (*jni)->NewStringUTF(jni, refusals_text(agent) ? refusals_text(agent)
							      : engine_text(agent));
}

static jstring native_look(JNIEnv *jni, jclass self, jboolean asked)
{
	struct agent *agent = agent_get();

	(void)self;
	/* A thump that asks for a checkpoint has looked before; another engine has rules of its
	 * own. */
	if (!asked && (server_is_serving(agent) || agent->options.hooks_first))
		return NULL;
	if (engine_look(agent) != THUMP_COORD_FAILED)
		return NULL;
	return (*jni)->NewStringUTF(jni, engine_text(agent));
}

static jboolean native_was_restored(JNIEnv *jni, jclass self)
{
	(void)jni;
	(void)self;
	return agent_get()->page->state == THUMP_COORD_RESTORED ? JNI_TRUE : JNI_FALSE;
}

static jobjectArray native_arguments(JNIEnv *jni, jclass self)
{
	jobjectArray arguments = parameters_arguments(agent_get(), jni);

	(void)self;
	parameters_forget(agent_get());
	return arguments;
}

static jboolean native_time_zone_changed(JNIEnv *jni, jclass self)
{
	(void)jni;
	(void)self;
	return agent_get()->time_zone_changed ? JNI_TRUE : JNI_FALSE;
}

static void native_note_properties(JNIEnv *jni, jclass self)
{
	(void)jni;
	(void)self;
	times_note(agent_get(), MOMENT_PROPERTIES);
}

static void native_say_times(JNIEnv *jni, jclass self)
{
	(void)jni;
	(void)self;
	times_note(agent_get(), MOMENT_HOOKS);
	times_say(agent_get());
}

static jboolean native_ends_on_failure(JNIEnv *jni, jclass self)
{
	(void)jni;
	(void)self;
	return agent_get()->ends_on_failure ? JNI_TRUE : JNI_FALSE;
}

static void native_export_package(JNIEnv *jni, jclass self, jclass type)
{
	(void)self;
	management_export(agent_get(), jni, type);
}

static jclass native_define_management(JNIEnv *jni, jclass self)
{
	(void)self;
	return management_define(agent_get(), jni);
}

static jobject native_platform_server(JNIEnv *jni, jclass self)
{
	(void)self;
	return management_server(agent_get(), jni);
}

static void native_add_component(JNIEnv *jni, jclass self, jstring name, jobject component)
{
	(void)self;
	management_add(jni, name, component);
}

#define METHOD(java_name, java_signature, function)                                                \
	{                                                                                          \
		.name = (char *)(java_name), .signature = (char *)(java_signature),                \
		.fnPtr = (void *)(function)                                                        \
	}

static bool register_natives(JNIEnv *jni)
{
	const JNINativeMethod methods[] = {
		METHOD("canCheckpoint", "()Z", native_can_checkpoint),
		METHOD("begin", "()V", native_begin),
		METHOD("end", "()V", native_end),
		METHOD("shrink", "()V", native_shrink),
		METHOD("suspendOthers", "()Ljava/lang/String;", native_suspend_others),
		METHOD("resumeOthers", "()V", native_resume_others),
		METHOD("watch", "(Ljava/lang/String;JZ)V", native_watch),
		METHOD("unwatch", "()Ljava/lang/String;", native_unwatch),
		METHOD("look", "(Z)Ljava/lang/String;", native_look),
		METHOD("capture", "(ZLjava/lang/String;)Ljava/lang/String;", native_capture),
		METHOD("wasRestored", "()Z", native_was_restored),
		METHOD("arguments", "()[Ljava/lang/String;", native_arguments),
		METHOD("timeZoneChanged", "()Z", native_time_zone_changed),
		METHOD("noteProperties", "()V", native_note_properties),
		METHOD("sayTimes", "()V", native_say_times),
		METHOD("endsOnFailure", "()Z", native_ends_on_failure),
		METHOD("isTimeZoneGiven", "()Z", properties_time_zone_given),
		METHOD("properties", "()Ljava/util/Map;", properties_get),
		METHOD("setProperties", "(Ljava/util/concurrent/ConcurrentHashMap;)V",
		       properties_set),
		METHOD("exportPackage", "(Ljava/lang/Class;)V", native_export_package),
		METHOD("defineManagementComponent", "()Ljava/lang/Class;",
		       native_define_management),
		METHOD("platformServer", "()Ljava/lang/Object;", native_platform_server),
		METHOD("addPlatformComponent", "(Ljava/lang/String;Ljava/lang/Object;)V",
		       native_add_component),
	};
	jclass class = (*jni)->FindClass(jni, "thump/jvm/Native");

	return class && (*jni)->RegisterNatives(jni, class, methods,
						sizeof(methods) / sizeof(methods[0])) == JNI_OK;
}

bool classes_define(struct agent *agent, JNIEnv *jni)
{
	jclass coordinator;

	if (!define_all(jni) || !register_natives(jni))
		return false;
	coordinator = (*jni)->FindClass(jni, "thump/jvm/Coordinator");
	if (!coordinator)
		return false;
	agent->coordinator = (*jni)->NewGlobalRef(jni, coordinator);
	agent->request =
		(*jni)->GetStaticMethodID(jni, coordinator, "request", "(Z)Ljava/lang/String;");
	agent->look = (*jni)->GetStaticMethodID(jni, coordinator, "look", "()Ljava/lang/String;");
	return agent->coordinator && agent->request && agent->look;
}

void classes_visit(struct agent *agent, JNIEnv *jni, class_visitor visit)
{
	jvmtiEnv *jvmti = agent->jvmti;
	jclass *classes = NULL;
	jint count = 0;

	if ((*jvmti)->GetLoadedClasses(jvmti, &count, &classes) != JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++) {
		char *signature = NULL;

		if ((*jvmti)->GetClassSignature(jvmti, classes[i], &signature, NULL) ==
		    JVMTI_ERROR_NONE) {
			visit(agent, jni, classes[i], signature);
			(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)signature);
		}
		(*jni)->DeleteLocalRef(jni, classes[i]);
	}
	(void)(*jvmti)->Deallocate(jvmti, (unsigned char *)classes);
}
