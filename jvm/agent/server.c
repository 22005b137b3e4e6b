/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's socket: how `thump checkpoint PID` gets the hooks run before it captures. One thread,
 * which is a Java thread only while it serves a request: a JVM that ends waits up to 300 ms for
 * Java threads that are in native code (VM_Exit::wait_for_threads_in_native_to_block).
 * coord/abi.h has the protocol.
 *
 * A checkpoint that the program asks for itself suspends Java threads, and then waits for this one
 * to close the socket. So the thread is held first (server_hold()): it becomes no Java thread until
 * the others go on.
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
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	int reading_fd;	    /* whose request is read, or -1 */
	bool held, closing; /* what a checkpoint of another thread wants */
	bool attached;	    /* a request is served */
	/* Of the thread, and of who serves the request for it. */
	int client_fd; /* of the request that is being served, or -1 */
	pid_t client_pid;
	bool stood; /* this request has had the program stand for another engine */
};

static bool is_own_thread(const struct server *server)
{
	return pthread_equal(__atomic_load_n(&server->listener.thread, __ATOMIC_ACQUIRE),
			     pthread_self());
}

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
	else if (is_own_thread(agent->server))
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
		if (is_own_thread(agent->server))
			agent->stand_limit_ns = 0;
	} else if (strcmp(line, THUMP_COORD_ASK_AFTER) == 0 ||
		   strcmp(line, THUMP_COORD_ASK_ABORT) == 0) {
		(void)thump_coord_send(fd, THUMP_COORD_SAY_FAILED "\n" THUMP_COORD_NOT_STANDING);
	} else {
		(void)thump_coord_send(fd, THUMP_COORD_SAY_FAILED "\n" THUMP_COORD_UNKNOWN "\n");
	}
}

/* Serves a request as a daemon thread of the JVM. */
static void serve_attached(struct agent *agent, const char *line)
{
	JavaVMAttachArgs args = { .version = JNI_VERSION_9, .name = (char *)"thump" };
	JNIEnv *jni = NULL;

	if ((*agent->vm)->AttachCurrentThreadAsDaemon(agent->vm, (void **)&jni, &args) != JNI_OK)
		return;
	obey(agent, jni, line);
	(void)(*agent->vm)->DetachCurrentThread(agent->vm);
}

static bool read_request(struct server *server, char *line, size_t size)
{
	bool heard;

	(void)pthread_mutex_lock(&server->lock);
	server->reading_fd = server->closing ? -1 : server->client_fd;
	heard = server->reading_fd >= 0;
	(void)pthread_mutex_unlock(&server->lock);
	if (!heard)
		return false;
	heard = thump_coord_read_request(server->client_fd, &server->client_pid, line, size);
	(void)pthread_mutex_lock(&server->lock);
	server->reading_fd = -1;
	(void)pthread_mutex_unlock(&server->lock);
	return heard;
}

/* Waits until it may be attached. False: the socket is to be closed. */
static bool begin_attached(struct server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	while (server->held && !server->closing)
		(void)pthread_cond_wait(&server->changed, &server->lock);
	server->attached = !server->closing;
	(void)pthread_mutex_unlock(&server->lock);
	return server->attached;
}

static void end_attached(struct server *server)
{
	(void)pthread_mutex_lock(&server->lock);
	server->attached = false;
	(void)pthread_cond_broadcast(&server->changed);
	(void)pthread_mutex_unlock(&server->lock);
}

static void serve(struct agent *agent, int fd)
{
	struct server *server = agent->server;
	char line[64];

	server->client_fd = fd;
	if (read_request(server, line, sizeof(line)) && begin_attached(server)) {
		serve_attached(agent, line);
		if (!is_own_thread(server))
			return;
		end_attached(server);
	}
	close_client(server);
}

/* Until another thread has the socket: see server_give_up(). */
static void *server_main(void *arg)
{
	struct agent *agent = arg;
	struct server *server = agent->server;

	(void)pthread_mutex_lock(&server->lock); /* who starts us says first that we have it */
	(void)pthread_mutex_unlock(&server->lock);
	(void)pthread_setname_np(pthread_self(), THUMP_COORD_THREAD);
	while (is_own_thread(server))
		serve(agent, thump_coord_listener_accept(&server->listener));
	return NULL;
}

static bool start_thread(struct agent *agent)
{
	struct server *server = agent->server;
	pthread_t thread;
	bool started;

	(void)pthread_mutex_lock(&server->lock);
	started = agent_create_thread(&thread, server_main, agent) == 0;
	if (started) {
		__atomic_store_n(&server->listener.thread, thread, __ATOMIC_RELEASE);
		(void)pthread_detach(thread);
	}
	(void)pthread_mutex_unlock(&server->lock);
	return started;
}

bool server_start(struct agent *agent)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return false;
	server->client_fd = server->reading_fd = -1;
	(void)pthread_mutex_init(&server->lock, NULL);
	(void)pthread_cond_init(&server->changed, NULL);
	thump_coord_listener_init(&server->listener);
	agent->server = server;
	if (server->listener.fd < 0)
		agent_complain(agent,
			       "no checkpoint from outside for now: the agent has no socket; "
			       "another process may have taken its name",
			       JVMTI_ERROR_NONE);
	if (start_thread(agent))
		return true;
	thump_coord_listener_deinit(&server->listener);
	agent->server = NULL;
	free(server);
	return false;
}

bool server_is_serving(const struct agent *agent)
{
	const struct server *server = agent->server;

	return server && server->client_fd >= 0 && is_own_thread(server);
}

/* What is served now ends in seconds: the caller makes a checkpoint, so there is no other. */
void server_hold(struct agent *agent)
{
	struct server *server = agent->server;

	if (!server || is_own_thread(server))
		return;
	(void)pthread_mutex_lock(&server->lock);
	server->held = true;
	while (server->attached)
		(void)pthread_cond_wait(&server->changed, &server->lock);
	(void)pthread_mutex_unlock(&server->lock);
}

static void set_closing(struct server *server, bool closing)
{
	(void)pthread_mutex_lock(&server->lock);
	server->closing = closing;
	/* Its descriptor is the thread's to close. */
	if (closing && server->reading_fd >= 0)
		(void)shutdown(server->reading_fd, SHUT_RDWR);
	(void)pthread_cond_broadcast(&server->changed);
	(void)pthread_mutex_unlock(&server->lock);
}

void server_let_go(struct agent *agent)
{
	struct server *server = agent->server;

	if (!server)
		return;
	(void)pthread_mutex_lock(&server->lock);
	server->held = false;
	(void)pthread_cond_broadcast(&server->changed);
	(void)pthread_mutex_unlock(&server->lock);
}

void server_suspend(struct agent *agent)
{
	if (!agent->server)
		return;
	set_closing(agent->server, true);
	thump_coord_listener_suspend(&agent->server->listener);
}

void server_resume(struct agent *agent)
{
	if (!agent->server)
		return;
	set_closing(agent->server, false);
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

/* The thread that is stuck has nothing more to do with the socket: another one has it. */
void server_give_up(struct agent *agent, pthread_t thread, const char *why)
{
	struct server *server = agent->server;

	if (!server || server->client_fd < 0 || !pthread_equal(server->listener.thread, thread))
		return;
	(void)thump_coord_send(server->client_fd, THUMP_COORD_SAY_FAILED "\n");
	(void)thump_coord_send(server->client_fd, why);
	(void)shutdown(server->client_fd, SHUT_RDWR);
	if (!start_thread(agent))
		return; /* its descriptor is the stuck thread's to close */
	close_client(server);
	end_attached(server);
}

void server_take_client(struct agent *agent, int fd)
{
	agent->server->client_fd = fd;
}
