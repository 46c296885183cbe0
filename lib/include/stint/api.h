/*
 * stint/api.h - how the library marks what it exports
 *
 * STINT_API        the function is part of the library's ABI
 * STINT_MUST_CHECK the compiler warns when the result is dropped
 * STINT_PRINTF     checks format strings
 * STINT_WHERE      the place in the source, "file.c:12", for reports: what a function
 *                  made keeps it. Functions that take it end in _at and are called
 *                  through a macro without it.
 */
#ifndef STINT_API_H
#define STINT_API_H

#define STINT_API        __attribute__((visibility("default")))
#define STINT_MUST_CHECK __attribute__((warn_unused_result))
#define STINT_PRINTF(fmt_arg, first_arg)                                                 \
	__attribute__((format(printf, fmt_arg, first_arg)))

#define STINT_TEXT_OF_(x) #x
#define STINT_TEXT_OF(x)  STINT_TEXT_OF_(x)
#define STINT_WHERE       __FILE__ ":" STINT_TEXT_OF(__LINE__)

#ifdef __cplusplus
#define STINT_BEGIN_DECLS extern "C" {
#define STINT_END_DECLS   }
#define STINT_EXTERN_C    extern "C"
#else
#define STINT_BEGIN_DECLS
#define STINT_END_DECLS
#define STINT_EXTERN_C extern
#endif

#endif
