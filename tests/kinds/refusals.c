/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What cannot be saved. usage: refusals NAME[=FD]... makes each, and tells the driver by lines
 * "refuse FD WORDS" which descriptor (-1: none) and which words the refusal must name. Then the
 * driver looks whether everything is named in one dry run, and the program whether it was left
 * alone.
 */
#include "refusals.h"

#include "../lib/tied_fork.h"

#include <linux/aio_abi.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <linux/userfaultfd.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447
#endif

#define PAGE ((size_t)4096)

void refuse(int fd, const char *words)
{
	workload_tell("refuse", "%d %s", fd, words);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in addr;
	socklen_t size = sizeof(addr);

	MUST(getsockname(fd, (struct sockaddr *)&addr, &size));
	return ntohs(addr.sin_port);
}

static void make_tcp_connection(int given)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(addr);
	int listener = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int client = (int)MUST(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), server;
	char words[64];

	(void)given;
	MUST(bind(listener, (struct sockaddr *)&addr, size));
	MUST(listen(listener, 5));
	MUST(getsockname(listener, (struct sockaddr *)&addr, &size));
	MUST(connect(client, (struct sockaddr *)&addr, size));
	server = (int)MUST(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	snprintf(words, sizeof(words), "TCP\t127.0.0.1:%d\t127.0.0.1:%d", port_of(client),
		 port_of(server));
	refuse(client, words);
	refuse(server, words);
}

static void make_unix_connection(int given)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int listener = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	int client = (int)MUST(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	socklen_t size = sizeof(addr);

	(void)given;
	/* A name of the kernel's choice: autobind, unix(7). */
	MUST(bind(listener, (struct sockaddr *)&addr, sizeof(sa_family_t)));
	MUST(listen(listener, 5));
	MUST(getsockname(listener, (struct sockaddr *)&addr, &size));
	MUST(connect(client, (struct sockaddr *)&addr, size));
	/* Not accepted: the other end has no descriptor to read this from. */
	must_write(client, "x", 1);
	refuse(client, "unix");
}

/* The ends of a pipe or socket pair whose other ends the driver holds. */
static void use_pipe_to_outside(int given)
{
	CHECK(fcntl(given, F_GETFD) >= 0);
	refuse(given, "pipe");
}

static void use_socket_to_outside(int given)
{
	CHECK(fcntl(given, F_GETFD) >= 0);
	refuse(given, "socket");
}

static void make_child(int given)
{
	pid_t child = (pid_t)MUST(tied_fork());
	char words[64];

	(void)given;
	if (child == 0)
		for (;;)
			pause();
	snprintf(words, sizeof(words), "child\t%d", child);
	refuse(-1, words);
}

static void make_zombie(int given)
{
	pid_t child = (pid_t)MUST(fork());
	siginfo_t info;
	char words[64];

	(void)given;
	if (child == 0)
		_exit(0);
	MUST(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT));
	snprintf(words, sizeof(words), "zombie\t%d", child);
	refuse(-1, words);
}

static void make_io_uring(int given)
{
	struct {
		uint32_t words[30];
	} params = { { 0 } };
	int fd = (int)syscall(SYS_io_uring_setup, 4, &params);

	(void)given;
	if (fd < 0)
		workload_skip("io_uring_setup: %s", strerror(errno));
	refuse(fd, "io_uring");
}

/* With IORING_SETUP_SQPOLL the kernel puts a thread of its own into the process. */
static void make_io_uring_thread(int given)
{
	uint32_t params[30] = { [2] = 2 }; /* struct io_uring_params: flags */

	(void)given;
	if (syscall(SYS_io_uring_setup, 4, params) < 0)
		workload_skip("io_uring_setup: %s", strerror(errno));
	refuse(-1, "io_uring\tthread");
}

static void make_sysv_shm(int given)
{
	int id = (int)MUST(shmget(IPC_PRIVATE, PAGE, IPC_CREAT | 0600));
	void *at = shmat(id, NULL, 0);
	char words[64];

	(void)given;
	CHECK(at != (void *)-1);
	MUST(shmctl(id, IPC_RMID, NULL));
	snprintf(words, sizeof(words), "System V\t%lx", (unsigned long)(uintptr_t)at);
	refuse(-1, words);
}

static void make_inotify(int given)
{
	int fd = (int)MUST(inotify_init1(IN_CLOEXEC));
	char path[32];

	(void)given;
	/* It has no path: nowhere to be found. */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d",
		       (int)MUST(memfd_create("watched", MFD_CLOEXEC)));
	MUST(inotify_add_watch(fd, path, IN_MODIFY));
	refuse(fd, "inotify\tpath of watch 1 cannot be found");
}

static void make_fanotify(int given)
{
	int fd = fanotify_init(FAN_CLASS_NOTIF | FAN_REPORT_FID, O_RDONLY);

	(void)given;
	if (fd < 0)
		workload_skip("fanotify_init: %s", strerror(errno));
	refuse(fd, "fanotify");
}

static void make_userfaultfd(int given)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	char words[64];

	(void)given;
	if (fd < 0)
		workload_skip("userfaultfd: %s", strerror(errno));
	MUST(ioctl(fd, UFFDIO_API, &api));
	range.range.start = (uintptr_t)must_mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
						 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.len = PAGE;
	MUST(ioctl(fd, UFFDIO_REGISTER, &range));
	refuse(fd, "userfaultfd");
	snprintf(words, sizeof(words), "userfaultfd\t%llx", range.range.start);
	refuse(-1, words);
}

static void make_pidfd(int given)
{
	(void)given;
	refuse((int)MUST(syscall(SYS_pidfd_open, getppid(), 0)), "pidfd");
}

static void make_perf_event(int given)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.size = sizeof(attr),
					.config = PERF_COUNT_SW_TASK_CLOCK,
					.exclude_kernel = 1,
					.exclude_hv = 1 };
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	(void)given;
	if (fd < 0)
		workload_skip("perf_event_open: %s", strerror(errno));
	refuse(fd, "perf_event");
}

static void make_memfd_secret(int given)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
	char *at;

	(void)given;
	if (fd < 0)
		workload_skip("memfd_secret: %s", strerror(errno));
	MUST(ftruncate(fd, PAGE));
	at = must_mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	at[0] = 1;
	refuse(fd, "secret");
}

static void make_mqueue(int given)
{
	struct mq_attr attr = { .mq_maxmsg = 2, .mq_msgsize = 16 };
	char name[64];
	int queue;

	(void)given;
	snprintf(name, sizeof(name), "/thump-test-%d", getpid());
	queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attr);
	if (queue < 0)
		workload_skip("mq_open: %s", strerror(errno));
	MUST(mq_unlink(name));
	refuse(queue, name);
}

static void make_pty(int given)
{
	int master = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));

	(void)given;
	MUST(unlockpt(master));
	refuse(master, "ptmx\tnot open in the process");
}

/* Waits both ways. */
static void make_pty_queues(int given)
{
	int master = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	int terminal;

	(void)given;
	MUST(unlockpt(master));
	terminal = (int)MUST(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	must_write(master, "line\n", 5);
	must_write(terminal, "answer", 6);
	refuse(master, "ptmx\twait to be read");
	refuse(terminal, "terminal\t5 bytes of input");
}

/* Its master is closed. */
static void make_hung_up_terminal(int given)
{
	int master = (int)MUST(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	int terminal;

	(void)given;
	MUST(unlockpt(master));
	terminal = (int)MUST(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	MUST(close(master));
	refuse(terminal, "terminal\thung up");
}

/* Of whoever started us. */
static void make_proc_of_another(int given)
{
	char path[40];
	int fd;

	(void)given;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", getppid());
	fd = (int)MUST(open(path, O_RDONLY | O_CLOEXEC));
	refuse(fd, "of another process");
}

static void make_device(int given)
{
	static const char *const devices[] = { "/dev/autofs", "/dev/kmsg", "/dev/fuse",
					       "/dev/net/tun", "/dev/loop-control" };

	(void)given;
	for (size_t i = 0; i < NR_OF(devices); i++) {
		int fd = open(devices[i], O_RDONLY | O_CLOEXEC);

		if (fd >= 0) {
			refuse(fd, devices[i]);
			return;
		}
	}
	workload_skip("no device that can be opened");
}

static void make_netlink(int given)
{
	(void)given;
	refuse((int)MUST(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)), "netlink");
}

static void make_packet(int given)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	(void)given;
	if (fd < 0)
		workload_skip("packet socket: %s", strerror(errno));
	refuse(fd, "packet");
}

static void make_aio(int given)
{
	aio_context_t context = 0;

	(void)given;
	MUST(syscall(SYS_io_setup, 8, &context));
	refuse(-1, "asynchronous I/O");
}

static void make_large_deleted_file(int given)
{
	int fd = (int)MUST(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
	static const char byte = 'x';

	(void)given;
	for (off_t at = 0; at <= 66 << 20; at += 1 << 20)
		MUST(pwrite(fd, &byte, 1, at));
	refuse(fd, "deleted");
}

static void make_seccomp(int given)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { .len = 1, .filter = &allow };

	(void)given;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	refuse(-1, "seccomp");
}

/* Only one thread has the filter, and any call that it does not know ends the process. */
static void *filtered_thread(void *arg)
{
	struct sock_filter kill_prctl[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = NR_OF(kill_prctl), .filter = kill_prctl };
	pthread_barrier_t *barrier = arg;

	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	pthread_barrier_wait(barrier);
	for (;;)
		pause();
	return NULL;
}

static void make_thread_seccomp(int given)
{
	static pthread_barrier_t barrier;
	pthread_t thread;

	(void)given;
	MUST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, filtered_thread, &barrier) == 0);
	pthread_barrier_wait(&barrier);
	refuse(-1, "seccomp\tthread");
}

/* On, but the selector lets every call of the program itself through. */
static void make_syscall_user_dispatch(int given)
{
	static char selector; /* SYSCALL_DISPATCH_FILTER_ALLOW */

	(void)given;
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) < 0)
		workload_skip("PR_SET_SYSCALL_USER_DISPATCH: %s", strerror(errno));
	refuse(-1, "syscall user dispatch");
}

static void *thread_of_another_host(void *arg)
{
	pthread_barrier_t *barrier = arg;

	MUST(unshare(CLONE_NEWUTS));
	pthread_barrier_wait(barrier);
	for (;;)
		pause();
	return NULL;
}

static void make_thread_namespace(int given)
{
	static pthread_barrier_t barrier;
	pthread_t thread;

	(void)given;
	CHECK(pthread_barrier_init(&barrier, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, thread_of_another_host, &barrier) == 0);
	pthread_barrier_wait(&barrier);
	refuse(-1, "namespace\tuts");
}

static void make_deleted_cwd(int given)
{
	(void)given;
	MUST(mkdir("gone-directory", 0700));
	MUST(chdir("gone-directory"));
	MUST(rmdir("../gone-directory"));
	refuse(-1, "gone-directory");
}

/* Whoever opens the file breaks the lease, and SIGIO kills the program. */
static void make_lease(int given)
{
	int fd = make_file("leased", 100, 1, O_RDWR | O_CLOEXEC);

	(void)given;
	MUST(fcntl(fd, F_SETLEASE, F_WRLCK));
	refuse(fd, "lease\tleased");
}

static void make_dnotify(int given)
{
	int fd;

	(void)given;
	MUST(mkdir("watched", 0700));
	fd = (int)MUST(open("watched", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	MUST(fcntl(fd, F_NOTIFY, DN_DELETE | DN_MULTISHOT));
	refuse(fd, "directory\tF_NOTIFY");
}

static void make_ip_options(int given)
{
	const unsigned char no_operations[4] = { 1, 1, 1, 1 };
	int fd = (int)MUST(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	(void)given;
	MUST(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, no_operations, sizeof(no_operations)));
	refuse(fd, "IP_OPTIONS");
}

static void *own_files(void *arg)
{
	pthread_barrier_t *barrier = arg;

	MUST(unshare(CLONE_FILES));
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

static void make_unshared_files(int given)
{
	static pthread_barrier_t barrier;
	pthread_t thread;

	(void)given;
	MUST_PTHREAD(pthread_barrier_init(&barrier, NULL, 2));
	MUST_PTHREAD(pthread_create(&thread, NULL, own_files, &barrier));
	pthread_barrier_wait(&barrier);
	refuse(-1, "thread\tCLONE_FILES");
}

/* Each of these is of one thread alone; the main thread has none of them. */
static void *thread_with_modes(void *arg)
{
	pthread_barrier_t *barrier = arg;

	MUST(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0));
	MUST(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0));
	MUST(personality(UNAME26));
	pthread_barrier_wait(barrier);
	for (;;)
		pause();
	return NULL;
}

static void *thread_without_caps(void *arg)
{
	pthread_barrier_t *barrier = arg;

	/* Raw: glibc would do it in every thread. */
	MUST(syscall(SYS_setresuid, 12345, 12345, 12345));
	pthread_barrier_wait(barrier);
	for (;;)
		pause();
	return NULL;
}

static void *thread_with_own_cwd(void *arg)
{
	pthread_barrier_t *barrier = arg;

	MUST(unshare(CLONE_FS));
	pthread_barrier_wait(barrier);
	for (;;)
		pause();
	return NULL;
}

static void *thread_with_securebits(void *arg)
{
	pthread_barrier_t *barrier = arg;

	MUST(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS, 0, 0, 0));
	pthread_barrier_wait(barrier);
	for (;;)
		pause();
	return NULL;
}

static void make_thread(void *(*thread_main)(void *arg))
{
	static pthread_barrier_t barrier;
	pthread_t thread;

	MUST_PTHREAD(pthread_barrier_init(&barrier, NULL, 2));
	MUST_PTHREAD(pthread_create(&thread, NULL, thread_main, &barrier));
	pthread_barrier_wait(&barrier);
}

static void make_thread_modes(int given)
{
	(void)given;
	make_thread(thread_with_modes);
	refuse(-1, "thread\tPR_MCE_KILL");
	refuse(-1, "thread\tPR_SET_TSC");
	refuse(-1, "thread\tpersonality");
}

static void make_thread_credentials(int given)
{
	(void)given;
	make_thread(thread_without_caps);
	refuse(-1, "thread\tcredentials");
}

static void make_unshared_fs(int given)
{
	(void)given;
	make_thread(thread_with_own_cwd);
	refuse(-1, "thread\tCLONE_FS");
}

static void make_thread_securebits(int given)
{
	(void)given;
	make_thread(thread_with_securebits);
	refuse(-1, "thread\tPR_SET_SECUREBITS");
}

struct vforker {
	int go[2], alive[2];
};

static void *wait_in_vfork(void *arg)
{
	struct vforker *vforker = arg;

	/* The child shares memory with the thread that waits for it: only system calls. */
	if (vfork() == 0) {
		char byte = 'x';

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)!write(vforker->alive[1], &byte, 1);
		(void)!read(vforker->go[0], &byte, 1);
		_exit(0);
	}
	return NULL;
}

static void make_vfork(int given)
{
	static struct vforker vforker;
	pthread_t thread;
	char byte;

	(void)given;
	MUST(pipe2(vforker.go, O_CLOEXEC));
	MUST(pipe2(vforker.alive, O_CLOEXEC));
	MUST_PTHREAD(pthread_create(&thread, NULL, wait_in_vfork, &vforker));
	must_read(vforker.alive[0], &byte, 1);
	refuse(-1, "vfork");
}

static const struct refusal all[] = {
	{ "tcp_connection", make_tcp_connection },
	{ "unix_connection", make_unix_connection },
	{ "pipe_to_outside", use_pipe_to_outside },
	{ "socket_to_outside", use_socket_to_outside },
	{ "child", make_child },
	{ "zombie", make_zombie },
	{ "io_uring", make_io_uring },
	{ "sysv_shm", make_sysv_shm },
	{ "inotify", make_inotify },
	{ "fanotify", make_fanotify },
	{ "userfaultfd", make_userfaultfd },
	{ "pidfd", make_pidfd },
	{ "perf_event", make_perf_event },
	{ "memfd_secret", make_memfd_secret },
	{ "mqueue", make_mqueue },
	{ "pty", make_pty },
	{ "device", make_device },
	{ "hung_up_terminal", make_hung_up_terminal },
	{ "proc_of_another", make_proc_of_another },
	{ "pty_queues", make_pty_queues },
	{ "netlink", make_netlink },
	{ "packet", make_packet },
	{ "aio", make_aio },
	{ "large_deleted_file", make_large_deleted_file },
	{ "seccomp", make_seccomp },
	{ "thread_namespace", make_thread_namespace },
	{ "io_uring_thread", make_io_uring_thread },
	{ "thread_seccomp", make_thread_seccomp },
	{ "syscall_user_dispatch", make_syscall_user_dispatch },
	{ "deleted_cwd", make_deleted_cwd },
	{ "unshared_files", make_unshared_files },
	{ "unshared_fs", make_unshared_fs },
	{ "thread_modes", make_thread_modes },
	{ "thread_credentials", make_thread_credentials },
	{ "thread_securebits", make_thread_securebits },
	{ "vfork", make_vfork },
	{ "lease", make_lease },
	{ "dnotify", make_dnotify },
	{ "ip_options", make_ip_options },
};

static bool make_one_of(const struct refusal *list, size_t count, const char *name, int given)
{
	for (size_t i = 0; i < count; i++) {
		if (strcmp(list[i].name, name) == 0) {
			list[i].make(given);
			return true;
		}
	}
	return false;
}

static void make(const char *name, int given)
{
	if (!make_one_of(all, NR_OF(all), name, given) &&
	    !make_one_of(refused_modes, nr_refused_modes, name, given))
		FAIL("no refusal is called %s", name);
}

int main(int argc, char **argv)
{
	workload_init();
	for (int i = 1; i < argc; i++) {
		char *equals = strchr(argv[i], '=');

		if (equals != NULL)
			*equals = '\0';
		make(argv[i], equals != NULL ? atoi(equals + 1) : -1);
	}
	/* Never restored: any verdict but "still here, undisturbed" is the driver's. */
	CHECK_EQ(workload_checkpoint(), WORKLOAD_ORIGINAL);
	workload_pass();
}
