/// <reference types="node" />

/** One attempt at a job. After the handler is done it stays as it was then. */
export interface Context {
  /** The job's id. */
  readonly id: string
  /** 1 is the first. */
  readonly attempt: number
  /** Unix time in ms at which the daemon cancels this attempt. */
  readonly deadline_ms: number
  /** Milliseconds until the deadline, 0 when it has passed: fit for timers. */
  remaining(): number
  /**
   * Whether nobody waits for this attempt any more. Also true to a handler that keeps the
   * event loop busy: it looks at the pipe, which is a system call.
   */
  readonly cancelled: boolean
  /** Aborted when the job is cancelled, its reason an AbortError: for fetch, timers, fs. */
  readonly signal: AbortSignal
  /** The job's `x-` fields, `traceparent` and `queue`, as text; bytes go in the payload. */
  readonly fields: Readonly<Record<string, string>>
  /** percent from 0 to 100 (cut to that), a note of one line. The same again is not sent. */
  progress(percent: number, note?: string): void
}

export type Output = string | Uint8Array | null | undefined | void

/** The job failed for good: no retry will help. Its message is the job's `error`. */
export class Fail extends Error {}

/** Serves jobs until the daemon closes descriptor 3; then the process exits with 0. */
export function run(handle: (ctx: Context, payload: Buffer) => Output | Promise<Output>): void
