/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `jcmd PID JVMTI.agent_load LIBRARY` asks a JVM that has the agent for a checkpoint. It only gets
 * a return code: the checkpoint is made after jcmd's connection is closed, as that could not be
 * saved, by a thread of its own.
 */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "agent.h"

/* jcmd reads the answer and ends; 2 s in all. Nothing tells us when it has. */
enum { TRIES = 400, PAUSE_NS = 5000000 };

/* HotSpot listens on .java_pidPID in its temporary directory; the name is that of what it accepts,
 * too. */
static bool is_attach_connection(int fd)
{
	struct sockaddr_un own = { 0 }, peer;
	socklen_t own_len = sizeof(own) - 1, peer_len = sizeof(peer);

	return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
	       own.sun_family == AF_UNIX && strstr(own.sun_path, "/.java_pid") &&
	       getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0;
}

static bool client_is_connected(void)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	bool connected = false;

	while (dir && !connected && (entry = readdir(dir)))
		connected = is_attach_connection(atoi(entry->d_name));
	if (dir)
		(void)closedir(dir);
	return connected;
}

static void *attach_main(void *arg)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	JavaVMAttachArgs args = { .version = JNI_VERSION_9, .name = (char *)"thump jcmd" };
	struct agent *agent = arg;
	JNIEnv *jni = NULL;

	for (int i = 0; i < TRIES && client_is_connected(); i++)
		(void)nanosleep(&pause, NULL);
	if ((*agent->vm)->AttachCurrentThreadAsDaemon(agent->vm, (void **)&jni, &args) != JNI_OK)
		return NULL;
	agent_request_checkpoint(agent, jni);
	(void)(*agent->vm)->DetachCurrentThread(agent->vm);
	return NULL;
}

/* With all signals blocked: those of the process are for the JVM's and the program's threads. */
static int start_thread(struct agent *agent)
{
	sigset_t all, old;
	pthread_t thread;
	int rc;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, NULL, attach_main, agent);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc == 0)
		(void)pthread_detach(thread);
	return rc;
}

JNIEXPORT jint JNICALL Agent_OnAttach(JavaVM *vm, char *text, void *reserved)
{
	struct agent *agent = agent_get();

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
	return start_thread(agent) == 0 ? JNI_OK : JNI_ERR;
}
