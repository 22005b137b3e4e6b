// SPDX-License-Identifier: Apache-2.0
// Workers, each with a JavaScript engine of its own, and memory that all share: on standard input a
// number per line, on standard output the number and a digest. The answers depend on nothing but the
// numbers.
'use strict';
const threads = require('worker_threads');
const WORKERS = 3;

function work(shared) {
  const cells = new Int32Array(shared);
  const kept = new Map();
  let state = threads.workerData.worker;
  threads.parentPort.on('message', (number) => {
    state = (state ^ number) >>> 0;
    for (let i = 0; i < 5000; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      kept.set((state >>> 10) % 400, 'x'.repeat(state % 50) + state);
    }
    let sum = 0;
    for (const value of kept.values()) sum = (sum + value.length) | 0;
    Atomics.add(cells, 0, (sum ^ state) | 0);
    threads.parentPort.postMessage('done');
  });
}

function main() {
  const shared = new SharedArrayBuffer(64);
  const workers = [];
  let waitFor = 0;
  let current = '';
  for (let worker = 0; worker < WORKERS; worker++) {
    workers.push(new threads.Worker(__filename, {workerData: {worker, shared}}));
    workers[worker].on('message', () => {
      if (--waitFor === 0) console.log(current, new Uint32Array(shared)[0].toString(16));
    });
  }
  require('readline').createInterface({input: process.stdin}).on('line', (line) => {
    current = line;
    waitFor = WORKERS;
    workers.forEach((each) => each.postMessage(Number(line)));
  }).on('close', () => process.exit(0));
  console.log('ready');
}

threads.isMainThread ? main() : work(threads.workerData.shared);
