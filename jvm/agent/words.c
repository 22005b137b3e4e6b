/* SPDX-License-Identifier: Apache-2.0 */
/* Classes, objects, threads and their stacks in words, as JVMTI tells them: no Java code runs. */
#include "words.h"

#include <stdlib.h>
#include <string.h>

#define MAX_FRAMES 30

void words_release(jvmtiEnv *jvmti, void *memory)
{
	if (memory)
		(void)(*jvmti)->Deallocate(jvmti, memory);
}

void words_class(jvmtiEnv *jvmti, FILE *out, jclass class)
{
	char *signature = NULL;

	if (!class ||
	    (*jvmti)->GetClassSignature(jvmti, class, &signature, NULL) != JVMTI_ERROR_NONE) {
		(void)fputs("?", out);
		return;
	}
	for (const char *at = signature + (*signature == 'L'); *at && *at != ';'; at++)
		(void)fputc(*at == '/' ? '.' : *at, out);
	words_release(jvmti, signature);
}

void words_object(struct agent *agent, JNIEnv *jni, FILE *out, jobject object)
{
	jclass class = (*jni)->GetObjectClass(jni, object);
	jint hash = 0;

	(void)(*agent->jvmti)->GetObjectHashCode(agent->jvmti, object, &hash);
	words_class(agent->jvmti, out, class);
	(void)fprintf(out, "@%x", (unsigned int)hash);
	(*jni)->DeleteLocalRef(jni, class);
}

void words_thread(struct agent *agent, JNIEnv *jni, FILE *out, jthread thread)
{
	jvmtiThreadInfo info = { 0 };

	if ((*agent->jvmti)->GetThreadInfo(agent->jvmti, thread, &info) != JVMTI_ERROR_NONE)
		return;
	(void)fprintf(out, "\"%s\"", info.name ? info.name : "");
	words_release(agent->jvmti, info.name);
	(*jni)->DeleteLocalRef(jni, info.thread_group);
	(*jni)->DeleteLocalRef(jni, info.context_class_loader);
}

static int line_of(jvmtiEnv *jvmti, const jvmtiFrameInfo *frame)
{
	jvmtiLineNumberEntry *table = NULL;
	jint count = 0;
	int line = -1;

	if ((*jvmti)->GetLineNumberTable(jvmti, frame->method, &count, &table) != JVMTI_ERROR_NONE)
		return -1;
	for (jint i = 0; i < count; i++)
		if (table[i].start_location <= frame->location)
			line = table[i].line_number;
	words_release(jvmti, table);
	return line;
}

static void print_frame(struct agent *agent, JNIEnv *jni, FILE *out, const jvmtiFrameInfo *frame)
{
	jvmtiEnv *jvmti = agent->jvmti;
	char *method = NULL, *file = NULL;
	jclass class = NULL;
	int line = line_of(jvmti, frame);

	(void)(*jvmti)->GetMethodName(jvmti, frame->method, &method, NULL, NULL);
	(void)(*jvmti)->GetMethodDeclaringClass(jvmti, frame->method, &class);
	if (class)
		(void)(*jvmti)->GetSourceFileName(jvmti, class, &file);
	(void)fputs("\n    at ", out);
	words_class(jvmti, out, class);
	(void)fprintf(out, ".%s(%s", method ? method : "?", file ? file : "");
	if (line >= 0)
		(void)fprintf(out, ":%d", line);
	(void)fputc(')', out);
	words_release(jvmti, method);
	words_release(jvmti, file);
	(*jni)->DeleteLocalRef(jni, class);
}

void words_stack(struct agent *agent, JNIEnv *jni, FILE *out, jthread thread)
{
	jvmtiFrameInfo frames[MAX_FRAMES];
	jint count = 0;

	(void)fputs("\n  ", out);
	words_thread(agent, jni, out, thread);
	(void)fputc(':', out);
	if ((*agent->jvmti)->GetStackTrace(agent->jvmti, thread, 0, MAX_FRAMES, frames, &count) !=
	    JVMTI_ERROR_NONE)
		return;
	for (jint i = 0; i < count; i++)
		print_frame(agent, jni, out, &frames[i]);
}

/* Each line end, and the spaces after it, becomes one space. */
void words_fold(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (*from != '\n') {
			*to++ = *from;
			continue;
		}
		*to++ = ' ';
		from += strspn(from + 1, " ");
	}
	*to = '\0';
}
