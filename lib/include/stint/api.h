/*
 * stint/api.h - how the library marks what it exports
 *
 * STINT_API        the function is part of the library's ABI
 * STINT_MUST_CHECK the compiler warns when the result is dropped
 * STINT_PRINTF     checks format strings
 */
#ifndef STINT_API_H
#define STINT_API_H

#define STINT_API        __attribute__((visibility("default")))
#define STINT_MUST_CHECK __attribute__((warn_unused_result))
#define STINT_PRINTF(fmt_arg, first_arg)                                                 \
	__attribute__((format(printf, fmt_arg, first_arg)))

#ifdef __cplusplus
#define STINT_BEGIN_DECLS extern "C" {
#define STINT_END_DECLS   }
#else
#define STINT_BEGIN_DECLS
#define STINT_END_DECLS
#endif

#endif
