/*
 * Whether this is a build for finding mistakes: its run-time reserves terabytes
 * of addresses and makes system calls of its own, so that no filter and no
 * limit fits it, and it is no production build.
 */
#ifndef SGB_SANITIZER_H
#define SGB_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__)
#define SGB_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SGB_SANITIZER 1
#endif
#endif
#ifndef SGB_SANITIZER
#define SGB_SANITIZER 0
#endif

#endif
