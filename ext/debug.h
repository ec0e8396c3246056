/* SWLB_ASSERT(e): checked in debug and sanitizer builds, nothing in a release. */
#ifndef SWLB_DEBUG_H
#define SWLB_DEBUG_H
#ifdef SWLB_DEBUG
#include <assert.h>
#define SWLB_ASSERT(e) assert(e)
#else
#define SWLB_ASSERT(e) ((void)0)
#endif
#endif
