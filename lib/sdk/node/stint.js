/*
 * stint.js - handlers of stintd in JavaScript, as persistent processes (`worker:`)
 *
 *     require('stint').run(async (ctx, payload) => payload)      // payload: a Buffer
 *
 * What the handler returns, or its promise resolves to, is the output: a string, a
 * Uint8Array, or nothing. An exception is an ERROR, which may be retried; a Fail is a FAIL,
 * which is not. What the job brings beside its payload, and what tells that nobody waits any
 * more, is in ctx (class Context; the types are in stint.d.ts). Needs Node 18 and nothing
 * else; copy this one file, or install it.
 *
 * The process reads frames from descriptor 3 and answers on descriptor 4 (../FRAMES.md).
 * Reading is the event loop's. Writing is synchronous: there is one job at a time, its answer
 * is the last that it does, and none is lost when the process ends after it.
 */
'use strict'

const fs = require('node:fs')
const net = require('node:net')
const { types } = require('node:util')

const IN_FD = 3
const OUT_FD = 4
const STRINGS_MAX = 64
const FRAME_BYTES_MAX = 64 << 20
const TEXT_BYTES_MAX = 1024 // of a message or note, which is one line for people
const READ_BYTES = 1 << 16 // what a pipe holds
const EX_USAGE = 64
const EX_IOERR = 74
const EX_PROTOCOL = 76

/** The job failed for good: no retry will help. Its message is the job's `error`. */
class Fail extends Error {}
Fail.prototype.name = 'Fail'

/** One attempt at a job. After the handler is done it stays as it was then. */
class Context {
  #link
  #strings
  #endMs
  #fields
  #controller
  #reason = null
  #told = null

  /* strings: JOB <id> <attempt> <remaining_ms> <payload> [name value]... */
  constructor(link, strings) {
    const remainingMs = Number(strings[3].latin1Slice())
    this.id = strings[1].utf8Slice()
    this.attempt = Number(strings[2].latin1Slice())
    this.deadline_ms = Date.now() + remainingMs
    this.#endMs = performance.now() + remainingMs
    this.#link = link
    this.#strings = strings
  }

  get fields() {
    if (!this.#fields) {
      this.#fields = Object.create(null)
      for (let i = 5; i < this.#strings.length; i += 2) {
        this.#fields[this.#strings[i].utf8Slice()] = this.#strings[i + 1].utf8Slice()
      }
    }
    return this.#fields
  }

  remaining() {
    return Math.max(0, this.#endMs - performance.now())
  }

  get cancelled() {
    // a handler that keeps the event loop busy hears of it here
    if (this.#reason === null) this.#link.poll(this)
    return this.#reason !== null
  }

  get signal() {
    if (!this.#controller) {
      this.#controller = new AbortController()
      if (this.#reason !== null) this.#abort()
    }
    return this.#controller.signal
  }

  progress(percent, note = '') {
    const whole = Math.trunc(percent)
    if (Number.isNaN(whole)) throw new TypeError('percent is not a number')
    const told = [String(Math.min(100, Math.max(0, whole))), line(note)]
    if (this.#told && told[0] === this.#told[0] && told[1] === this.#told[1]) return
    this.#told = told
    this.#link.tell(this, 'PROGRESS', ...told)
  }

  #abort() {
    const error = new Error(`cancelled: ${this.#reason}`)
    error.name = 'AbortError' // what fetch, fs and the timers throw, and their users look for
    this.#controller.abort(error)
  }

  static cancel(ctx, reason) {
    if (ctx.#reason !== null) return
    ctx.#reason = reason
    if (ctx.#controller) ctx.#abort()
  }
}

/** Serves jobs until the daemon closes descriptor 3; then the process exits with 0. */
function run(handle) {
  if (typeof handle !== 'function') throw new TypeError('run() wants a function')
  checkOpen(IN_FD)
  checkOpen(OUT_FD)
  new Link(handle).start()
}

/* ---- frames ---- */

class Malformed extends Error {}

/* The first frame of data: {strings, end}; or {need}, the bytes that it takes at least. All
 * limits are checked as soon as the number that breaks them is there. */
function parse(data) {
  const count = number(data, 0, 0x2a, 2)
  if (!count) return { need: data.length + 1 }
  if (count.value < 1 || count.value > STRINGS_MAX) {
    throw new Malformed(`${count.value} strings, not 1 to ${STRINGS_MAX}`)
  }
  const strings = new Array(count.value)
  let end = count.end
  for (let i = 0; i < strings.length; i++) {
    const size = number(data, end, 0x24, 8)
    if (!size) return { need: data.length + 1 }
    end = size.end + size.value + 2
    if (end > FRAME_BYTES_MAX) throw new Malformed(`more than ${FRAME_BYTES_MAX} bytes`)
    if (data.length < end) return { need: end }
    if (data[end - 2] !== 13 || data[end - 1] !== 10) {
      throw new Malformed('a string does not end where it should')
    }
    strings[i] = data.subarray(size.end, end - 2)
  }
  return { strings, end }
}

/* The number between a mark and a line end, of at most digits digits; null when its end is
 * still to come. */
function number(data, at, mark, digits) {
  const what = String.fromCharCode(mark)
  if (at < data.length && data[at] !== mark) throw new Malformed(`no ${what} where it should be`)
  let value = 0
  let i = at + 1
  while (i < data.length && data[i] >= 0x30 && data[i] <= 0x39 && i - at <= digits) {
    value = value * 10 + data[i++] - 0x30
  }
  if (i >= data.length) return null
  if (i === at + 1 || data[i] !== 13 || (i + 1 < data.length && data[i + 1] !== 10)) {
    throw new Malformed(`no number of 1 to ${digits} digits after ${what}`)
  }
  return i + 1 < data.length ? { value, end: i + 2 } : null
}

/* What is wrong with a frame that came whole; verbs that are not known may be anything. */
function check(verb, strings) {
  if (verb === 'CANCEL' && strings.length < 3) {
    throw new Malformed(`CANCEL with ${strings.length} strings`)
  }
  if (verb !== 'JOB') return
  if (strings.length < 5 || strings.length % 2 === 0) {
    throw new Malformed(`JOB with ${strings.length} strings`)
  }
  if (!strings.slice(2, 4).every((number) => /^\d{1,18}$/.test(number.latin1Slice()))) {
    throw new Malformed('JOB whose attempt or time is no number')
  }
}

function frame(strings) {
  const parts = []
  let text = `*${strings.length}\r\n` // of what comes before the next bytes
  for (const value of strings) {
    if (typeof value === 'string') {
      text += `$${Buffer.byteLength(value)}\r\n${value}\r\n`
    } else {
      parts.push(Buffer.from(`${text}$${value.length}\r\n`), value)
      text = '\r\n'
    }
  }
  parts.push(Buffer.from(text))
  return Buffer.concat(parts)
}

/* One line for people, cut at a whole character. */
function line(value) {
  const text = String(value).replace(/\s+/g, ' ').trim()
  const bytes = Buffer.from(text)
  if (bytes.length <= TEXT_BYTES_MAX) return text
  let end = TEXT_BYTES_MAX
  while ((bytes[end] & 0xc0) === 0x80) end--
  return bytes.utf8Slice(0, end)
}

function outputOf(value) {
  if (value === undefined || value === null) return Buffer.alloc(0)
  if (typeof value === 'string') return Buffer.from(value)
  if (types.isUint8Array(value)) return value
  throw new TypeError(`the handler returned ${typeof value}, not a string or Uint8Array`)
}

/* ---- the two pipes ---- */

class Link {
  constructor(handle) {
    this.handle = handle
    this.chunks = []
    this.have = 0
    this.need = 1
    this.isEnded = false
    this.job = null
  }

  start() {
    this.send(['READY', '1'])
    const socket = new net.Socket({ fd: IN_FD, readable: true, writable: false })
    socket.on('data', (chunk) => this.feed(chunk))
    socket.on('end', () => this.ended())
    socket.on('error', (error) => die(EX_IOERR, `descriptor ${IN_FD}: ${error.message}`))
  }

  /* Chunks are joined only when a whole frame may be there. */
  feed(chunk) {
    this.chunks.push(chunk)
    this.have += chunk.length
    while (this.have >= this.need) {
      const data = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks)
      const found = guarded(() => parse(data))
      this.need = found.need || 1
      const rest = found.strings ? data.subarray(found.end) : data
      this.chunks = rest.length ? [rest] : []
      this.have = rest.length
      if (found.strings) guarded(() => this.hear(found.strings))
    }
  }

  hear(strings) {
    const verb = strings[0].latin1Slice()
    check(verb, strings)
    if (verb === 'JOB') {
      if (this.job) throw new Malformed('JOB while another one runs')
      this.serve(strings)
    } else if (verb === 'CANCEL' && this.job && strings[1].utf8Slice() === this.job.id) {
      Context.cancel(this.job, strings[2].utf8Slice())
    }
    // verbs of a later version are no fault
  }

  async serve(strings) {
    const ctx = new Context(this, strings)
    this.job = ctx
    await null // a CANCEL that came in the same read is heard first
    let answer
    try {
      answer = ['OK', ctx.id, outputOf(await this.handle(ctx, strings[4]))]
    } catch (error) {
      answer = failure(ctx, error)
    }
    this.job = null
    this.send(answer)
    if (this.isEnded) process.exit(0)
  }

  /* Looks at descriptor 3 without waiting, past the event loop. */
  poll(ctx) {
    while (this.job === ctx && !this.isEnded) {
      const chunk = Buffer.allocUnsafe(READ_BYTES)
      let got
      try {
        got = fs.readSync(IN_FD, chunk)
      } catch (error) {
        if (error.code === 'EAGAIN') return
        throw error
      }
      if (got === 0) return // the event loop will see the end too
      this.feed(chunk.subarray(0, got))
    }
  }

  ended() {
    this.isEnded = true
    if (this.have) die(EX_PROTOCOL, 'malformed frame from the daemon: the pipe was closed in it')
    if (!this.job) process.exit(0)
  }

  tell(ctx, verb, ...strings) {
    if (this.job === ctx) this.send([verb, ctx.id, ...strings])
  }

  send(strings) {
    let data = frame(strings)
    if (data.length > FRAME_BYTES_MAX) {
      data = frame(['ERROR', strings[1], `the output of ${strings[2].length} bytes does not fit` +
        ` a frame of ${FRAME_BYTES_MAX} bytes`])
    }
    try {
      for (let sent = 0; sent < data.length;) sent += fs.writeSync(OUT_FD, data, sent)
    } catch (error) {
      die(EX_IOERR, `the daemon does not listen any more: ${error.message}`)
    }
  }
}

function failure(ctx, error) {
  if (error instanceof Fail) return ['FAIL', ctx.id, line(error.message) || 'failed']
  console.error(error)
  return ['ERROR', ctx.id, line(error) || 'error']
}

function guarded(step) {
  try {
    return step()
  } catch (error) {
    if (!(error instanceof Malformed)) throw error
    return die(EX_PROTOCOL, `malformed frame from the daemon: ${error.message}`)
  }
}

function checkOpen(fd) {
  let isPipe = false
  try {
    const stat = fs.fstatSync(fd)
    isPipe = stat.isFIFO() || stat.isSocket()
  } catch (error) {
    if (error.code !== 'EBADF') throw error
  }
  if (!isPipe) {
    die(EX_USAGE, `descriptor ${fd} is no pipe: this program is to be started by stintd, as` +
      ' `worker:` in its configuration')
  }
}

function die(code, text) {
  try {
    fs.writeSync(2, `stint: ${text}\n`)
  } finally {
    process.exit(code)
  }
}

module.exports = { run, Fail }
