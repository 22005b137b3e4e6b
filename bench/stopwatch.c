/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times from just before a command is started to the moment that its program runs, and prints one
 * JSON object. In C, so that the start of the stopwatch itself costs microseconds.
 *
 * usage: stopwatch stamp COMMAND...        until bench/trivial writes the time; then COMMAND gets
 *                                          SIGTERM
 *        stopwatch http PORT PATH COMMAND... until GET PATH on the loopback address answers 200;
 *                                          then COMMAND gets SIGTERM
 *        stopwatch wait COMMAND...         until COMMAND ends; also its greatest resident set
 *
 * Nothing may take longer than a minute: then it says what did not come, and ends COMMAND.
 *
 * "peak_kb" is the peak resident set of COMMAND itself (VmHWM, or rusage with `wait`).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEADLINE_S 60

extern char **environ;

/* For the handler, which has no other way to know. */
static volatile sig_atomic_t started_pid;
static const char *volatile awaited = "the start of the command";

static void on_alarm(int signo)
{
	static const char text[] = " did not come within a minute\n";
	const char *what = awaited;
	ssize_t ignored;

	(void)signo;
	ignored = write(STDERR_FILENO, "stopwatch: ", 11);
	ignored = write(STDERR_FILENO, what, strlen(what));
	ignored = write(STDERR_FILENO, text, sizeof(text) - 1);
	(void)ignored;
	/* SIGTERM is passed on to the program; SIGKILL would leave that behind. */
	if (started_pid > 0)
		kill(started_pid, SIGTERM);
	_exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void die(const char *what)
{
	fprintf(stderr, "stopwatch: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Starts the command with standard output as it is, or into a pipe (stdout_fd >= 0). */
static pid_t start_command(char **command, int stdout_fd)
{
	posix_spawn_file_actions_t actions;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	if (stdout_fd >= 0)
		posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);

	int result = posix_spawnp(&pid, command[0], &actions, NULL, command, environ);

	posix_spawn_file_actions_destroy(&actions);
	if (result != 0) {
		errno = result;
		die(command[0]);
	}
	started_pid = pid;
	return pid;
}

static long peak_kb(pid_t pid)
{
	char path[64], line[256];
	long value = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);

	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file)) {
		if (strncmp(line, "VmHWM:", 6) == 0)
			value = strtol(line + 6, NULL, 10);
	}
	if (file)
		fclose(file);
	return value;
}

/* Fails when the command ended before its program ran. */
static void check_alive(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, WNOHANG) == pid) {
		fprintf(stderr, "stopwatch: the command ended (wait status 0x%x)\n", status);
		exit(1);
	}
}

static void end_command(pid_t pid)
{
	awaited = "the end of the command";
	kill(pid, SIGTERM);
	if (waitpid(pid, NULL, 0) != pid)
		die("waitpid");
}

static int time_stamp(char **command)
{
	uint64_t stamp;
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0)
		die("pipe");

	uint64_t start = now_ns();
	pid_t pid = start_command(command, ends[1]);

	close(ends[1]);
	awaited = "the time from the program";
	if (read(ends[0], &stamp, sizeof(stamp)) != sizeof(stamp)) {
		fprintf(stderr, "stopwatch: %s ended without writing the time\n", command[0]);
		return 1;
	}
	printf("{\"us\": %.1f, \"peak_kb\": %ld}\n", (double)(stamp - start) / 1e3, peak_kb(pid));
	end_command(pid);
	return 0;
}

static int connect_to(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;

	if (fd < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Whether one request was answered with 200; a connection that breaks off is not an answer. */
static bool answers(const struct sockaddr_in *address, const char *path)
{
	static const char ok[] = "HTTP/1.1 200 ";
	char text[PATH_MAX + 128];
	size_t have = 0;
	int fd = connect_to(address);

	if (fd < 0)
		return false;

	int size = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);

	if (write(fd, text, (size_t)size) != size)
		die("write");
	while (have < sizeof(ok) - 1) {
		ssize_t got = read(fd, text + have, sizeof(text) - have);

		if (got <= 0)
			break;
		have += (size_t)got;
	}
	close(fd);
	return have >= sizeof(ok) - 1 && memcmp(text, ok, sizeof(ok) - 1) == 0;
}

static int time_http(const char *port, const char *path, char **command)
{
	const struct timespec pause = { .tv_nsec = 50000 };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	uint64_t start = now_ns();
	pid_t pid = start_command(command, -1);

	awaited = "an answer with status 200";
	/* Nothing tells from outside when somebody begins to listen, so this asks again. */
	while (!answers(&address, path)) {
		check_alive(pid);
		nanosleep(&pause, NULL);
	}
	printf("{\"us\": %.1f, \"peak_kb\": %ld}\n", (double)(now_ns() - start) / 1e3,
	       peak_kb(pid));
	end_command(pid);
	return 0;
}

static int time_wait(char **command)
{
	struct rusage usage;
	int status;
	uint64_t start = now_ns();
	pid_t pid = start_command(command, -1);

	awaited = "the end of the command";
	if (wait4(pid, &status, 0, &usage) != pid)
		die("wait4");
	fprintf(stderr, "{\"us\": %.1f, \"peak_kb\": %ld}\n", (double)(now_ns() - start) / 1e3,
		usage.ru_maxrss);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	signal(SIGALRM, on_alarm);
	alarm(DEADLINE_S);
	if (argc >= 3 && strcmp(argv[1], "stamp") == 0)
		return time_stamp(argv + 2);
	if (argc >= 5 && strcmp(argv[1], "http") == 0)
		return time_http(argv[2], argv[3], argv + 4);
	if (argc >= 3 && strcmp(argv[1], "wait") == 0)
		return time_wait(argv + 2);
	fprintf(stderr, "usage: stopwatch stamp|http PORT PATH|wait COMMAND...\n");
	return 2;
}
