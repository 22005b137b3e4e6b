/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's socket: how `thump checkpoint PID` gets the hooks run before it captures. One thread,
 * which is a Java thread only while it serves a request: a JVM that ends waits up to 300 ms for
 * Java threads that are in native code (VM_Exit::wait_for_threads_in_native_to_block).
 * coord/abi.h has the protocol.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent.h"
#include "coord/listener.h"
#include "coord/socket.h"

struct server {
	struct thump_coord_listener listener;
	int client_fd; /* of the request that is being served, or -1 */
	pid_t client_pid;
	bool stood; /* this request has had the program stand for another engine */
};

static void close_client(struct server *server)
{
	if (server->client_fd >= 0)
		(void)close(server->client_fd);
	server->client_fd = -1;
}

/* What the Java side says stood in the way, or went wrong afterwards, goes to who asked, if it is
 * still there to hear. A capture is not answered here when it succeeds: server_hand_over() was. */
static void answer(struct server *server, JNIEnv *jni, jstring text)
{
	const char *utf = text ? (*jni)->GetStringUTFChars(jni, text, NULL) : NULL;

	if (utf && server->client_fd >= 0) {
		(void)thump_coord_send(server->client_fd, server->stood
								  ? THUMP_COORD_SAY_BROKEN "\n"
								  : THUMP_COORD_SAY_FAILED "\n");
		(void)thump_coord_send(server->client_fd, utf);
	} else if (!text && server->stood && server->client_fd >= 0) {
		(void)thump_coord_send(server->client_fd, THUMP_COORD_SAY_DONE "\n");
	}
	if (utf)
		(*jni)->ReleaseStringUTFChars(jni, text, utf);
}

/* Answers with what a method of the Java side returned; takes the string. */
static void answer_with(struct agent *agent, JNIEnv *jni, jstring text)
{
	if ((*jni)->ExceptionCheck(jni))
		(*jni)->ExceptionClear(jni);
	else
		answer(agent->server, jni, text);
	if (text)
		(*jni)->DeleteLocalRef(jni, text);
}

/* Runs a whole checkpoint; the Java side has the order of things. */
static void request(struct agent *agent, JNIEnv *jni, bool dry_run)
{
	answer_with(agent, jni,
		    (*jni)->CallStaticObjectMethod(jni, agent->coordinator, agent->request,
						   dry_run ? JNI_TRUE : JNI_FALSE));
}

/* Lets thump look at the program, unless a checkpoint is being made. */
static void look(struct agent *agent, JNIEnv *jni)
{
	agent->server->stood = false;
	answer_with(agent, jni,
		    (*jni)->CallStaticObjectMethod(jni, agent->coordinator, agent->look));
}

/* "hooks-before MILLISECONDS" */
static bool is_before(const char *line, uint64_t *limit_ns_ret)
{
	const size_t len = strlen(THUMP_COORD_ASK_BEFORE);

	if (strncmp(line, THUMP_COORD_ASK_BEFORE, len) != 0)
		return false;
	*limit_ns_ret = strtoull(line + len, NULL, 10) * UINT64_C(1000000);
	return *limit_ns_ret > 0;
}

static void obey(struct agent *agent, JNIEnv *jni, const char *line)
{
	int fd = agent->server->client_fd;
	uint64_t limit_ns = 0;

	if (strcmp(line, THUMP_COORD_ASK_HOLDERS) == 0) {
		(void)thump_coord_send(fd, refusals_chains(agent) ? refusals_chains(agent) : "");
	} else if (strcmp(line, THUMP_COORD_ASK_LOOK) == 0) {
		look(agent, jni);
	} else if (strcmp(line, THUMP_COORD_ASK_CHECKPOINT) == 0 ||
		   strcmp(line, THUMP_COORD_ASK_DRY_RUN) == 0 || is_before(line, &limit_ns)) {
		agent->stand_limit_ns = limit_ns;
		agent->server->stood = false;
		request(agent, jni, strcmp(line, THUMP_COORD_ASK_DRY_RUN) == 0);
		agent->stand_limit_ns = 0;
	} else if (strcmp(line, THUMP_COORD_ASK_AFTER) == 0 ||
		   strcmp(line, THUMP_COORD_ASK_ABORT) == 0) {
		(void)thump_coord_send(fd, THUMP_COORD_SAY_FAILED "\n" THUMP_COORD_NOT_STANDING);
	} else {
		(void)thump_coord_send(fd, THUMP_COORD_SAY_FAILED "\n" THUMP_COORD_UNKNOWN "\n");
	}
}

static void serve(struct agent *agent, JNIEnv *jni, int fd)
{
	struct server *server = agent->server;
	char line[64];

	server->client_fd = fd;
	if (thump_coord_read_request(fd, &server->client_pid, line, sizeof(line)))
		obey(agent, jni, line);
	close_client(server);
}

/* Serves a request as a daemon thread of the JVM. */
static void serve_attached(struct agent *agent, int fd)
{
	JavaVMAttachArgs args = { .version = JNI_VERSION_9, .name = (char *)"thump" };
	JNIEnv *jni = NULL;

	if ((*agent->vm)->AttachCurrentThreadAsDaemon(agent->vm, (void **)&jni, &args) != JNI_OK) {
		(void)close(fd);
		return;
	}
	serve(agent, jni, fd);
	(void)(*agent->vm)->DetachCurrentThread(agent->vm);
}

static _Noreturn void *server_main(void *arg)
{
	struct agent *agent = arg;

	(void)pthread_setname_np(pthread_self(), THUMP_COORD_THREAD);
	for (;;) {
		int fd = thump_coord_listener_accept(&agent->server->listener);

		serve_attached(agent, fd);
	}
}

bool server_start(struct agent *agent)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return false;
	server->client_fd = -1;
	thump_coord_listener_init(&server->listener);
	agent->server = server;
	if (server->listener.fd < 0)
		agent_complain(agent,
			       "no checkpoint from outside for now: the agent has no socket; "
			       "another process may have taken its name",
			       JVMTI_ERROR_NONE);
	if (agent_create_thread(&server->listener.thread, server_main, agent) == 0) {
		(void)pthread_detach(server->listener.thread);
		return true;
	}
	thump_coord_listener_deinit(&server->listener);
	agent->server = NULL;
	free(server);
	return false;
}

bool server_is_serving(const struct agent *agent)
{
	const struct server *server = agent->server;

	return server && server->client_fd >= 0 &&
	       pthread_equal(server->listener.thread, pthread_self());
}

void server_suspend(struct agent *agent)
{
	if (agent->server)
		thump_coord_listener_suspend(&agent->server->listener);
}

void server_resume(struct agent *agent)
{
	if (agent->server)
		thump_coord_listener_resume(&agent->server->listener);
}

bool server_hand_over(struct agent *agent, pid_t *asker_ret)
{
	struct server *server = agent->server;
	char line[64];
	bool heard;

	(void)snprintf(line, sizeof(line), THUMP_COORD_SAY_READY " %lx\n",
		       (unsigned long)agent->page);
	heard = thump_coord_send(server->client_fd, line);
	close_client(server);
	*asker_ret = server->client_pid;
	return heard;
}

bool server_say_standing(struct agent *agent)
{
	struct server *server = agent->server;
	bool heard = thump_coord_send(server->client_fd, THUMP_COORD_SAY_STANDING "\n");

	server->stood = heard;
	close_client(server);
	return heard;
}

void server_give_up(struct agent *agent, pthread_t thread, const char *why)
{
	const struct server *server = agent->server;

	if (!server || server->client_fd < 0 || !pthread_equal(server->listener.thread, thread))
		return;
	(void)thump_coord_send(server->client_fd, THUMP_COORD_SAY_FAILED "\n");
	(void)thump_coord_send(server->client_fd, why);
	/* Its descriptor is the thread's to close. */
	(void)shutdown(server->client_fd, SHUT_RDWR);
}

void server_take_client(struct agent *agent, int fd)
{
	agent->server->client_fd = fd;
}
