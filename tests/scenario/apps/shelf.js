// SPDX-License-Identifier: Apache-2.0
// A web service with state: PUT /KEY stores the body, GET /KEY answers it, GET / counts requests.
// Prints `ready PORT`.
'use strict';
const http = require('http');

const shelf = new Map();
let count = 0;

const server = http.createServer((request, response) => {
  if (request.method === 'PUT') {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      shelf.set(request.url, Buffer.concat(parts));
      response.end('stored');
    });
    return;
  }
  count += 1;
  response.end(request.url === '/' ? String(count) : shelf.get(request.url) || '?');
});
server.listen(0, '127.0.0.1', () => console.log('ready', server.address().port));
