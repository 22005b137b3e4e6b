// SPDX-License-Identifier: Apache-2.0
// Draws random numbers as draws.c does: node draws.js COUNT
const crypto = require('crypto');

function draw() {
  return 'randomBytes ' + crypto.randomBytes(16).toString('hex') + '\n' +
    'randomUUID ' + crypto.randomUUID({ disableEntropyCache: true }) + '\n';
}

const stay = setInterval(() => {}, 1 << 30);
process.on('SIGUSR2', () => {
  clearInterval(stay);
  let said = '';
  for (let i = 0; i < Number(process.argv[2]); i++) said += draw();
  process.stdout.write(said + 'end\n');
});
process.stdout.write(draw() + 'ready\n');
