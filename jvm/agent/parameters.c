/* SPDX-License-Identifier: Apache-2.0 */
/* What the engine says in a restore: strings in a block of memory that is empty before. */
#include <string.h>

#include "agent.h"

char *parameters_next(const struct agent *agent, const char *prefix, const char *after)
{
	char *at = agent->parameters;
	size_t len = strlen(prefix);

	if (!at)
		return NULL;
	if (after)
		at += after - at + (ptrdiff_t)strlen(after) + 1;
	for (; *at; at += strlen(at) + 1)
		if (strncmp(at, prefix, len) == 0)
			return at + len;
	return NULL;
}

/* The next image must not have this restore's environment in it. */
void parameters_forget(struct agent *agent)
{
	char *end = agent->parameters;

	while (end && *end)
		end += strlen(end) + 1;
	if (end)
		memset(agent->parameters, 0, (size_t)(end - agent->parameters));
}

jobjectArray parameters_arguments(const struct agent *agent, JNIEnv *jni)
{
	jclass string = (*jni)->FindClass(jni, "java/lang/String");
	jobjectArray array;
	const char *at = NULL;
	jsize count = 0;

	while ((at = parameters_next(agent, THUMP_COORD_SAY_ARGUMENT, at)))
		count++;
	array = string ? (*jni)->NewObjectArray(jni, count, string, NULL) : NULL;
	for (jsize i = 0; array && i < count; i++) {
		jstring text;

		at = parameters_next(agent, THUMP_COORD_SAY_ARGUMENT, at);
		text = (*jni)->NewStringUTF(jni, at);
		if (!text)
			return NULL;
		(*jni)->SetObjectArrayElement(jni, array, i, text);
		(*jni)->DeleteLocalRef(jni, text);
	}
	return array;
}
