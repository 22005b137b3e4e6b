/* SPDX-License-Identifier: Apache-2.0 */
/* The native method of tests/jvm/java/Reopens.java. */
#include <jni.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

JNIEXPORT jint JNICALL Java_Reopens_bind(JNIEnv *jni, jclass self, jint port);

/* Returns the port that a socket of IPv4 got for this one; -1: none. */
JNIEXPORT jint JNICALL Java_Reopens_bind(JNIEnv *jni, jclass self, jint port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((in_port_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), bound = -1;

	(void)jni;
	(void)self;
	if (fd < 0)
		return -1;
	if (bind(fd, (const struct sockaddr *)&address, size) == 0 &&
	    getsockname(fd, (struct sockaddr *)&address, &size) == 0)
		bound = ntohs(address.sin_port);
	(void)close(fd);
	return bound;
}
