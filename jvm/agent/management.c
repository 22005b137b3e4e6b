/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Classes of the JDK that its modules keep to themselves.
 *
 * A platform MXBean on a stock JDK: the list behind ManagementFactory.getPlatformMXBean is a map in
 * ManagementFactory.PlatformMBeanFinder; JNI may put a component into it (same names on 17 to 25).
 */
#include <string.h>

#include "agent.h"

#define FACTORY "java/lang/management/ManagementFactory"
#define FINDER	"java/lang/management/ManagementFactory$PlatformMBeanFinder"

/* The module object of a class, through Class.getModule(). */
static jobject module_of(JNIEnv *jni, jclass class)
{
	jclass class_class = (*jni)->GetObjectClass(jni, class);
	jmethodID get_module =
		(*jni)->GetMethodID(jni, class_class, "getModule", "()Ljava/lang/Module;");

	return get_module ? (*jni)->CallObjectMethod(jni, class, get_module) : NULL;
}

/* Lets our classes use a package of the module that a class is in. */
static bool export_package(struct agent *agent, JNIEnv *jni, jclass class, const char *package)
{
	jobject theirs = module_of(jni, class);
	jobject ours = theirs ? module_of(jni, agent->coordinator) : NULL;
	jvmtiError error;

	if (!ours)
		return false;
	error = (*agent->jvmti)->AddModuleExports(agent->jvmti, theirs, package, ours);
	if (error != JVMTI_ERROR_NONE)
		agent_complain(agent, "AddModuleExports", error);
	return error == JVMTI_ERROR_NONE;
}

void management_export(struct agent *agent, JNIEnv *jni, jclass class)
{
	char *signature = NULL, *end;

	if ((*agent->jvmti)->GetClassSignature(agent->jvmti, class, &signature, NULL) !=
	    JVMTI_ERROR_NONE)
		return;
	/* "Lsun/misc/Name;" */
	end = strrchr(signature, '/');
	if (end) {
		*end = '\0';
		for (char *at = signature; (at = strchr(at, '/'));)
			*at = '.';
		(void)export_package(agent, jni, class, signature + 1);
	}
	(void)(*agent->jvmti)->Deallocate(agent->jvmti, (unsigned char *)signature);
}

jclass management_define(struct agent *agent, JNIEnv *jni)
{
	jclass factory = (*jni)->FindClass(jni, FACTORY);

	if (!factory || !export_package(agent, jni, factory, "sun.management.spi") ||
	    !classes_define_named(jni, "thump/jvm/ManagementComponent$Bean"))
		return NULL;
	return classes_define_named(jni, "thump/jvm/ManagementComponent");
}

void management_add(JNIEnv *jni, jstring object_name, jobject component)
{
	jclass finder = (*jni)->FindClass(jni, FINDER);
	jclass map_class = finder ? (*jni)->FindClass(jni, "java/util/Map") : NULL;
	jfieldID field;
	jmethodID put;
	jobject map;

	if (!map_class)
		return;
	field = (*jni)->GetStaticFieldID(jni, finder, "componentMap", "Ljava/util/Map;");
	if (!field)
		return;
	map = (*jni)->GetStaticObjectField(jni, finder, field);
	put = (*jni)->GetMethodID(jni, map_class, "put",
				  "(Ljava/lang/Object;Ljava/lang/Object;)Ljava/lang/Object;");
	if (map && put)
		(void)(*jni)->CallObjectMethod(jni, map, put, object_name, component);
}

jobject management_server(const struct agent *agent, JNIEnv *jni)
{
	jclass factory = (*jni)->FindClass(jni, FACTORY);
	jfieldID field = NULL;
	jint status = 0;

	/* To look for a field initialises the class. */
	if (factory &&
	    (*agent->jvmti)->GetClassStatus(agent->jvmti, factory, &status) == JVMTI_ERROR_NONE &&
	    (status & JVMTI_CLASS_STATUS_INITIALIZED))
		field = (*jni)->GetStaticFieldID(jni, factory, "platformMBeanServer",
						 "Ljavax/management/MBeanServer;");
	(*jni)->ExceptionClear(jni); /* a JVM without the module */
	return field ? (*jni)->GetStaticObjectField(jni, factory, field) : NULL;
}
