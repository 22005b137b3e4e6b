/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that never rest, each with kernel objects that it checks at every step; anything wrong
 * ends the program. Each line on standard input is answered, when every thread has made some more
 * steps, with `on` or, for a line "end", `end`.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { MORE_STEPS = 20, FILE_BYTES = 1 << 16 };

static void must(int condition, const char *what, int line)
{
	if (condition)
		return;
	fprintf(stderr, "busy.c:%d: %s is false (errno %d)\n", line, what, errno);
	_exit(1);
}
#define MUST(condition) must(condition, #condition, __LINE__)

/* ---- what the threads do, step by step ------------------------------------------------------ */

static int pipe_ends[2], pair[2], file = -1;

static void write_numbers(uint64_t step)
{
	MUST(write(pipe_ends[1], &step, sizeof(step)) == sizeof(step));
}

static void read_numbers(uint64_t step)
{
	uint64_t number;

	MUST(read(pipe_ends[0], &number, sizeof(number)) == sizeof(number));
	MUST(number == step);
}

/* Blocks of memory that come and go, and one that is mapped anew each time. */
static void use_memory(uint64_t step)
{
	static unsigned char *blocks[64];
	unsigned char **block = &blocks[step % 64];
	const size_t size_bytes = 100 + step * 37 % 3000;
	unsigned char *page;

	if (*block)
		MUST((*block)[0] == (unsigned char)(step - 64));
	*block = realloc(*block, size_bytes);
	MUST(*block != NULL);
	memset(*block, (int)(step & 0xff), size_bytes);
	page = mmap(NULL, 8 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	MUST(page != MAP_FAILED && page[4096] == 0);
	page[4096] = 1;
	MUST(munmap(page, 8 * 4096) == 0);
}

static void use_file(uint64_t step)
{
	const off_t at = (off_t)(step * 8 % FILE_BYTES);
	uint64_t number = step - FILE_BYTES / 8, was = number;

	if (step >= FILE_BYTES / 8)
		MUST(pread(file, &was, sizeof(was), at) == sizeof(was));
	MUST(was == number);
	MUST(pwrite(file, &step, sizeof(step), at) == sizeof(step));
	MUST(lseek(file, 0, SEEK_CUR) == 12345);
}

/* A signal to this thread, with a number; a timer and an event through an epoll. */
static void use_signals(uint64_t step)
{
	union sigval value = { .sival_int = (int)step };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	MUST(pthread_sigqueue(pthread_self(), SIGRTMIN + 2, value) == 0);
	MUST(sigwaitinfo(&set, &info) == SIGRTMIN + 2);
	MUST(info.si_value.sival_int == (int)step);
}

static void use_events(uint64_t step)
{
	static int epoll = -1, event, timer;
	struct itimerspec soon = { .it_value.tv_nsec = 100000 };
	struct epoll_event ready, wanted = { .events = EPOLLIN };
	uint64_t count;

	if (epoll < 0) {
		epoll = epoll_create1(EPOLL_CLOEXEC);
		event = eventfd(0, EFD_CLOEXEC);
		timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
		wanted.data.fd = event;
		MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, event, &wanted) == 0);
		wanted.data.fd = timer;
		MUST(epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &wanted) == 0);
	}
	count = step + 1;
	if (step % 2)
		MUST(write(event, &count, sizeof(count)) == sizeof(count));
	else
		MUST(timerfd_settime(timer, 0, &soon, NULL) == 0);
	MUST(epoll_wait(epoll, &ready, 1, -1) == 1);
	MUST(ready.data.fd == (step % 2 ? event : timer));
	MUST(read(ready.data.fd, &count, sizeof(count)) == sizeof(count));
	MUST(count == (step % 2 ? step + 1 : 1));
}

/* A descriptor goes through a socket and is closed. */
static void use_sockets(uint64_t step)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec bytes = { &step, sizeof(step) };
	struct msghdr message = { .msg_iov = &bytes,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	const uint64_t sent = step;
	int fd = file;

	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
				    .cmsg_type = SCM_RIGHTS,
				    .cmsg_len = CMSG_LEN(sizeof(fd)) };
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	MUST(sendmsg(pair[0], &message, 0) == sizeof(step));
	step = 0;
	MUST(recvmsg(pair[1], &message, MSG_CMSG_CLOEXEC) == sizeof(step));
	MUST(step == sent);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	MUST(lseek(fd, 0, SEEK_CUR) == 12345);
	MUST(close(fd) == 0);
}

static void *nothing(void *arg)
{
	return arg;
}

static void use_threads(uint64_t step)
{
	pthread_t thread;
	void *result;

	MUST(pthread_create(&thread, NULL, nothing, (void *)(uintptr_t)step) == 0);
	MUST(pthread_join(thread, &result) == 0 && (uintptr_t)result == step);
}

static void compute(uint64_t step)
{
	volatile double sum = 0;

	for (int i = 1; i < 10000; i++)
		sum += (double)step / i;
	MUST((step == 0) == (sum == 0));
}

/* ---- all of them ---------------------------------------------------------------------------- */

static struct worker {
	void (*do_step)(uint64_t step);
	_Atomic uint64_t steps;
} workers[] = {
	{ write_numbers, 0 }, { read_numbers, 0 }, { use_memory, 0 },
	{ use_file, 0 },      { use_signals, 0 },  { use_events, 0 },
	{ use_sockets, 0 },   { use_threads, 0 },  { compute, 0 },
};
#define NR_WORKERS (sizeof(workers) / sizeof(workers[0]))

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stepped = PTHREAD_COND_INITIALIZER;

static void *run(void *arg)
{
	struct worker *worker = arg;

	for (;;) {
		worker->do_step(worker->steps);
		MUST(pthread_mutex_lock(&mutex) == 0);
		worker->steps++;
		MUST(pthread_cond_signal(&stepped) == 0);
		MUST(pthread_mutex_unlock(&mutex) == 0);
	}
	return NULL;
}

static void wait_for_more(void)
{
	uint64_t wanted[NR_WORKERS];

	MUST(pthread_mutex_lock(&mutex) == 0);
	for (size_t i = 0; i < NR_WORKERS; i++)
		wanted[i] = workers[i].steps + MORE_STEPS;
	for (size_t i = 0; i < NR_WORKERS; i++)
		while (workers[i].steps < wanted[i])
			MUST(pthread_cond_wait(&stepped, &mutex) == 0);
	MUST(pthread_mutex_unlock(&mutex) == 0);
}

int main(void)
{
	char line[16];
	sigset_t set;
	pthread_t thread;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 2);
	MUST(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	file = open("numbers", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	MUST(file >= 0 && ftruncate(file, FILE_BYTES) == 0 && lseek(file, 12345, SEEK_SET) > 0);
	MUST(pipe2(pipe_ends, O_CLOEXEC) == 0);
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
	for (size_t i = 0; i < NR_WORKERS; i++)
		MUST(pthread_create(&thread, NULL, run, &workers[i]) == 0);
	puts("ready");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		wait_for_more();
		puts(strcmp(line, "end\n") == 0 ? "end" : "on");
		fflush(stdout);
		if (strcmp(line, "end\n") == 0)
			_exit(0);
	}
	return 1;
}
