/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HotSpot's attach listener, by which jcmd, jstack and others reach a JVM: a thread of HotSpot's
 * that listens on .java_pidPID in the temporary directory from the first of them on.
 *
 * `jcmd PID JVMTI.agent_load LIBRARY` asks a JVM that has the agent for a checkpoint. It only gets
 * a return code: the checkpoint is made after jcmd's connection is closed, as that could not be
 * saved, by a thread of its own.
 */
#include <dirent.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

/* jcmd reads the answer and ends, and so does the listener; 2 s in all. Nothing tells us when. */
enum { TRIES = 400, PAUSE_NS = 5000000 };

#define LISTENER_THREAD "Attach Listener"
/* The socket is bound to this, and its file then renamed. */
#define UNFINISHED ".tmp"

static void pause_a_little(void)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	(void)nanosleep(&pause, NULL);
}

/* The name is that of what the listener accepts, too. */
static bool is_attach_socket(int fd, struct sockaddr_un *name_ret)
{
	socklen_t len = sizeof(*name_ret) - 1;

	memset(name_ret, 0, sizeof(*name_ret));
	return getsockname(fd, (struct sockaddr *)name_ret, &len) == 0 &&
	       name_ret->sun_family == AF_UNIX && strstr(name_ret->sun_path, "/.java_pid");
}

/* The listener, or what it has accepted; -1: there is none. */
static int find_attach_socket(bool listener, struct sockaddr_un *name_ret)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	int found = -1;

	while (dir && found < 0 && (entry = readdir(dir))) {
		int fd = atoi(entry->d_name), listens = 0;
		socklen_t len = sizeof(listens);

		if (is_attach_socket(fd, name_ret) &&
		    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) == 0 &&
		    (listens != 0) == listener)
			found = fd;
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

/* ---- before a capture ---------------------------------------------------------------------- */

static bool is_listener_thread(const char *tid)
{
	char path[300], name[sizeof(LISTENER_THREAD)] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", tid);
	file = fopen(path, "re");
	if (file && !fgets(name, sizeof(name), file))
		name[0] = '\0';
	if (file)
		(void)fclose(file);
	return strcmp(name, LISTENER_THREAD) == 0;
}

static bool have_listener_thread(void)
{
	DIR *dir = opendir("/proc/self/task");
	const struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		found = is_listener_thread(entry->d_name);
	if (dir)
		(void)closedir(dir);
	return found;
}

void attach_close(void)
{
	struct sockaddr_un name;
	int fd = find_attach_socket(true, &name);
	size_t len;

	if (fd < 0)
		return;
	/* accept(2) fails then, and with it the thread ends: it is as if nobody had attached. */
	(void)shutdown(fd, SHUT_RDWR);
	for (int i = 0; i < TRIES && have_listener_thread(); i++)
		pause_a_little();
	/* A listener that is busy for so long may still use the number. */
	if (have_listener_thread())
		return;
	len = strlen(name.sun_path);
	if (len > strlen(UNFINISHED) &&
	    strcmp(name.sun_path + len - strlen(UNFINISHED), UNFINISHED) == 0)
		name.sun_path[len - strlen(UNFINISHED)] = '\0';
	(void)unlink(name.sun_path);
	(void)close(fd);
}

/* ---- a checkpoint by jcmd ------------------------------------------------------------------ */

static void *attach_main(void *arg)
{
	JavaVMAttachArgs args = { .version = JNI_VERSION_9, .name = (char *)"thump jcmd" };
	struct agent *agent = arg;
	struct sockaddr_un name;
	JNIEnv *jni = NULL;

	for (int i = 0; i < TRIES && find_attach_socket(false, &name) >= 0; i++)
		pause_a_little();
	if ((*agent->vm)->AttachCurrentThreadAsDaemon(agent->vm, (void **)&jni, &args) != JNI_OK)
		return NULL;
	agent_request_checkpoint(agent, jni);
	(void)(*agent->vm)->DetachCurrentThread(agent->vm);
	return NULL;
}

JNIEXPORT jint JNICALL Agent_OnAttach(JavaVM *vm, char *text, void *reserved)
{
	struct agent *agent = agent_get();
	pthread_t thread;

	(void)vm;
	(void)text;
	(void)reserved;
	if (!agent) {
		agent_complain(NULL,
			       "the agent must be there from the start of the JVM: start the "
			       "program with `thump run`, or with -agentpath; nothing was done",
			       JVMTI_ERROR_NONE);
		return JNI_ERR;
	}
	if (!agent->coordinator) {
		agent_complain(NULL, "the agent is not in use in this JVM; nothing was done",
			       JVMTI_ERROR_NONE);
		return JNI_ERR;
	}
	if (agent_create_thread(&thread, attach_main, agent) != 0)
		return JNI_ERR;
	(void)pthread_detach(thread);
	return JNI_OK;
}
