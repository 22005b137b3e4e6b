/* SPDX-License-Identifier: Apache-2.0 */
/* Names in a chunk store and numbers of its note: docs/FORMAT.md, "Chunk stores". */
#ifndef THUMP_PACK_STORE_LAYOUT_H
#define THUMP_PACK_STORE_LAYOUT_H

#define STORE_MARKER "thump-store-1"
#define STORE_CHUNKS "chunks"
#define STORE_IMAGES "images"

/* A chunk is in the folder of its hash's first two digits, under the others. */
#define STORE_NAME_LENGTH (2 * 31)

#define STORE_NOTE_TYPE 3u
#define STORE_NOTE_MAX	8192u

#endif
