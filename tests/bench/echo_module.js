// The process of warm.c in Node: an echo, written as the module's users write theirs.
'use strict'
require('../../lib/sdk/node/stint.js').run((ctx, payload) => payload)
