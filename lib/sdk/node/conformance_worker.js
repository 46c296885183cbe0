#!/usr/bin/env node
// The handler that ../conformance.py knows, on stint.js; busy: it never lets the event loop run.
'use strict'

const { once } = require('node:events')
const { run, Fail } = require('./stint.js')

const isBusy = process.argv.includes('busy')

async function wait(ctx) {
  ctx.progress(1, 'waiting')
  if (isBusy) while (!ctx.cancelled);
  else if (!ctx.signal.aborted) await once(ctx.signal, 'abort')
  return 'cancelled'
}

const orders = {
  echo: (ctx, rest) => rest,
  error: (ctx, rest) => { throw new Error(rest.toString()) },
  fail: (ctx, rest) => { throw new Fail(rest.toString()) },
  wait,
  progress: (ctx) => ctx.progress(50, 'half way'),
  context: (ctx) => `${ctx.id} ${ctx.attempt} ${ctx.remaining()} ${ctx.deadline_ms} ` +
    (ctx.fields['x-colour'] || 'none'),
  print: (ctx, rest) => console.log(rest.toString()),
  big: (ctx, rest) => Buffer.alloc(Number(rest.toString()), 'x')
}

run((ctx, payload) => {
  const blank = payload.indexOf(' ')
  const order = payload.subarray(0, blank < 0 ? payload.length : blank).toString()
  return orders[order](ctx, blank < 0 ? '' : payload.subarray(blank + 1))
})
