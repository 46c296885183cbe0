// What stint.js adds to the frames, which ../../conformance.py tests: node --test
'use strict'

const assert = require('node:assert')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const path = require('node:path')
const { test } = require('node:test')

const MODULE = path.join(__dirname, '..', 'stint.js')

function frame(...strings) {
  const parts = strings.map((s) => Buffer.from(s))
    .map((b) => Buffer.concat([Buffer.from(`$${b.length}\r\n`), b, Buffer.from('\r\n')]))
  return Buffer.concat([Buffer.from(`*${strings.length}\r\n`), ...parts])
}

function job(id, payload = '', ...fields) {
  return frame('JOB', id, '1', '30000', payload, ...fields)
}

/* A worker with this handler (a function, or its source). */
class Worker {
  constructor(t, handle, before = '') {
    this.child = spawn(process.execPath, ['-e',
      `const stint = require(${JSON.stringify(MODULE)}); ${before}; stint.run(${handle})`],
    { stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'] })
    this.words = ''
    this.data = ''
    this.child.stderr.on('data', (chunk) => { this.words += chunk })
    this.child.stdio[4].on('data', (chunk) => {
      this.data += chunk.latin1Slice()
      this.child.emit('frames')
    })
    this.child.stdio[3].on('error', () => {})
    this.ended = once(this.child, 'close').then(([code]) => code)
    t.after(() => this.child.kill('SIGKILL'))
  }

  send(...frames) {
    this.child.stdio[3].write(Buffer.concat(frames))
  }

  /* The next frame, as latin1 text without the sizes. */
  async receive() {
    for (;;) {
      const parts = this.data.split('\r\n')
      const count = Number(parts[0].slice(1))
      if (parts.length > 2 * count + 1) {
        this.data = parts.slice(2 * count + 1).join('\r\n')
        return parts.slice(1, 2 * count + 1).filter((_, i) => i % 2).join(' ')
      }
      await once(this.child, 'frames')
    }
  }

  async ask(id, ...more) {
    this.send(job(id, ...more))
    return this.receive()
  }
}

async function ready(t, handle, before) {
  const worker = new Worker(t, handle, before)
  assert.equal(await worker.receive(), 'READY 1')
  return worker
}

test('strings, bytes and nothing are outputs, promised or not', async (t) => {
  const worker = await ready(t, '(ctx, payload) => eval(String(payload))')
  assert.equal(await worker.ask('a', '"\\u00fc"'), 'OK a \xc3\xbc')
  assert.equal(await worker.ask('b', 'Promise.resolve(Buffer.from([255]))'), 'OK b \xff')
  assert.equal(await worker.ask('c', 'new Uint8Array([65])'), 'OK c A')
  assert.equal(await worker.ask('d', 'undefined'), 'OK d ')
  assert.equal(await worker.ask('e', 'Promise.resolve(null)'), 'OK e ')
  assert.match(await worker.ask('f', '({})'), /^ERROR f TypeError: the handler returned object/)
})

test('an exception is an error with its stack in the log', async (t) => {
  const worker = await ready(t, 'async () => { throw new RangeError("colour") }')
  assert.equal(await worker.ask('a'), 'ERROR a RangeError: colour')
  worker.child.stdio[3].end()
  await worker.ended
  assert.match(worker.words, /RangeError: colour\n +at /)
})

test('Fail is a failure for good, and no news for the log', async (t) => {
  const worker = await ready(t, 'async () => { throw new stint.Fail("bad input") }')
  assert.equal(await worker.ask('a'), 'FAIL a bad input')
  worker.child.stdio[3].end()
  assert.equal(await worker.ended, 0)
  assert.equal(worker.words, '')
})

test('fields are the names and values of the job', async (t) => {
  const worker = await ready(t, '(ctx) => JSON.stringify(ctx.fields)')
  assert.equal(await worker.ask('a', '', 'x-a', '1', '__proto__', '2'),
    'OK a {"x-a":"1","__proto__":"2"}')
  assert.equal(await worker.ask('b'), 'OK b {}')
})

test('the signal is aborted with an AbortError that gives the reason', async (t) => {
  const worker = await ready(t, `async (ctx) => {
    ctx.progress(0)
    await require('node:timers/promises').setTimeout(3600000, null, { signal: ctx.signal })
      .catch((error) => { if (error.name !== 'AbortError') throw error })
    ctx.signal.throwIfAborted()
  }`)
  worker.send(job('a'))
  assert.equal(await worker.receive(), 'PROGRESS a 0 ')
  worker.send(frame('CANCEL', 'a', 'timeout'))
  assert.equal(await worker.receive(), 'ERROR a AbortError: cancelled: timeout')
})

test('a signal that is asked for after the cancel is aborted already', async (t) => {
  const worker = await ready(t, '(ctx) => `${ctx.signal.aborted} ${ctx.cancelled}`')
  worker.send(job('a'), frame('CANCEL', 'a', 'timeout'))
  assert.equal(await worker.receive(), 'OK a true true')
  assert.equal(await worker.ask('b'), 'OK b false false')
})

test('progress is cut to a percentage and not repeated', async (t) => {
  const worker = await ready(t, `(ctx) => {
    for (const [percent, note] of [[-5], [0.9], [0, ''], [0, 'x'], [Infinity, 'a\\nb']]) {
      ctx.progress(percent, note)
    }
    ctx.progress('many')
  }`)
  worker.send(job('a'))
  assert.equal(await worker.receive(), 'PROGRESS a 0 ')
  assert.equal(await worker.receive(), 'PROGRESS a 0 x')
  assert.equal(await worker.receive(), 'PROGRESS a 100 a b')
  assert.match(await worker.receive(), /^ERROR a TypeError: percent/)
})

test('the context of an earlier job is dead', async (t) => {
  const worker = await ready(t, `(ctx) => {
    kept.push(ctx)
    kept[0].progress(kept.length)
    return String(kept[0].cancelled)
  }`, 'const kept = []')
  worker.send(job('a'))
  assert.equal(await worker.receive(), 'PROGRESS a 1 ')
  assert.equal(await worker.receive(), 'OK a false')
  worker.send(job('b'), frame('CANCEL', 'a', 'timeout'))
  assert.equal(await worker.receive(), 'OK b false')
})

test('the end of the file lets a promise be kept, then the process ends', async (t) => {
  const worker = await ready(t, `async (ctx) => {
    setInterval(() => {}, 1000)
    ctx.progress(0)
    await new Promise((resolve) => setTimeout(resolve, 50))
    return 'kept'
  }`)
  worker.send(job('a'))
  assert.equal(await worker.receive(), 'PROGRESS a 0 ')
  worker.child.stdio[3].end()
  assert.equal(await worker.receive(), 'OK a kept')
  assert.equal(await worker.ended, 0)
})

test('the end of the file ends an idle process, whatever else is open', async (t) => {
  const worker = await ready(t, '() => {}', 'setInterval(() => {}, 1000)')
  worker.child.stdio[3].end()
  assert.equal(await worker.ended, 0)
})

test('a second job in the middle of one is malformed', async (t) => {
  const worker = await ready(t, '() => new Promise(() => {})')
  worker.send(job('a'), job('b'))
  assert.equal(await worker.ended, 76)
  assert.equal(worker.words, 'stint: malformed frame from the daemon: JOB while another one runs\n')
})

test('without a daemon it says so', async () => {
  const child = spawn(process.execPath, ['-e', `require(${JSON.stringify(MODULE)}).run(() => {})`],
    { stdio: ['ignore', 'ignore', 'pipe', 'ignore', 'ignore'] })
  let words = ''
  child.stderr.on('data', (chunk) => { words += chunk })
  assert.deepEqual(await once(child, 'close'), [64, null])
  assert.match(words, /^stint: descriptor 3 is no pipe: /)
})

test('it can be imported by name from a module', async (t) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e',
    `import { run, Fail } from ${JSON.stringify(MODULE)}; console.log(typeof run, new Fail().name)`],
  { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const [chunk] = await once(child.stdout, 'data')
  assert.equal(String(chunk), 'function Fail\n')
})
