/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Has the functions of CPython that libthump calls to seed `random`, and says when it is:
 *
 *     interpreter [none]
 *
 * The queue of pending calls is full twice. none: Py_Initialize() was not called, when nothing but
 * Py_IsInitialized() may be. Ends at SIGUSR2.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int Py_IsInitialized(void);
int Py_AddPendingCall(int (*call)(void *), void *arg);
void *PyImport_GetModuleDict(void);
void *PyDict_GetItemString(void *dict, const char *name);
void *PyObject_CallMethod(void *object, const char *name, const char *format, ...);
void Py_DecRef(void *object);
void PyErr_Clear(void);

static int initialized, nr_calls;

int Py_IsInitialized(void)
{
	return initialized;
}

int Py_AddPendingCall(int (*call)(void *), void *arg)
{
	if (!initialized)
		abort();
	if (nr_calls++ < 2)
		return -1;
	return call(arg);
}

void *PyImport_GetModuleDict(void)
{
	return &initialized;
}

void *PyDict_GetItemString(void *dict, const char *name)
{
	(void)name;
	return dict;
}

void *PyObject_CallMethod(void *object, const char *name, const char *format, ...)
{
	(void)format;
	(void)printf("%s\n", name);
	(void)fflush(stdout);
	return object;
}

void Py_DecRef(void *object)
{
	(void)object;
}

void PyErr_Clear(void)
{
}

int main(int argc, char **argv)
{
	sigset_t wanted;
	int signo;

	(void)argv;
	initialized = argc == 1;
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGUSR2);
	(void)sigprocmask(SIG_BLOCK, &wanted, NULL);
	(void)puts("ready");
	(void)fflush(stdout);
	(void)sigwait(&wanted, &signo);
	(void)puts("end");
	return 0;
}
