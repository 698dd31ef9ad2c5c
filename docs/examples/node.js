// A whole node of stage 1, written from docs/contract.md: node node.js --peer HOST:PORT|none --json
const net = require('net'), crypto = require('crypto');
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }), random = () => crypto.randomBytes(16).toString('hex');
const connections = new Set(), history = new Map(), options = { host: '127.0.0.1', port: 0, wait: 5, peer: null, announce: null };
let own, network = null, joining = null, deadline = 0, wait = 0, typed = Buffer.alloc(0), isOver = false, isEnding = false, answers = null;
const links = () => [...connections].filter((c) => c.listen), isAddress = (a) => typeof a === 'string' && /^[A-Za-z0-9.-]{1,255}:[1-9]\d{0,4}$/.test(a) && a.split(':')[1] < 65536;
const isText = (t, low, high) => typeof t === 'string' && t.isWellFormed() && [...t].length >= low && [...t].length <= high;
const isHex = (t, digits) => typeof t === 'string' && t.length === digits && /^[0-9a-f]*$/.test(t);
const escape = (text, start) => text.replace(/[\x00-\x1f\x7f-\x9f]/g, (c) => start + c.charCodeAt(0).toString(16).padStart(2, '0'));
function report(event, members = {}) {  // for programs all of it, for people the text of it
  const words = { listening: `listening on ${own}`, error: `error ${members.code}: ${members.reason}`, chat: members.text }[event] ?? `${event} ${Object.values(members)}`;
  process.stdout.write((options.json ? escape(JSON.stringify({ event, ...members }), '\\u00') : escape(words, '\\x')) + '\n');
}
// --- bytes
const frame = (m, body = Buffer.from(JSON.stringify(m)), head = Buffer.alloc(4)) => head.writeUInt32BE(body.length) && Buffer.concat([head, body]);
function parse(body) {  // JSON.parse forgives a member twice, and rounds numbers
  let text = utf8.decode(body), message = JSON.parse(text), open = [], last = '', name = '';
  for (const [token] of text.matchAll(/"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/g)) {
    if (token === '{' || token === '[') open.push(new Set()); else if (token === '}' || token === ']') open.pop();
    if (token === ':' && open.at(-1).size === open.at(-1).add(name = JSON.parse(last)).size) throw Error('a member twice');
    if (last === ':' && open.length === 1 && /^[-\d]/.test(token) && !/^(0|[1-9]\d{0,15})$/.test(token)) message[name] = NaN;
    last = token;
  }
  if (!message || Array.isArray(message) || typeof message.type !== 'string') throw Error('expected an object with a type');
  return message;
}
const SHAPES = { ping: { nonce: (t) => isText(t, 0, 64) }, pong: { nonce: (t) => isText(t, 0, 64) },
  hello: { version: Number.isSafeInteger, stage: Number.isSafeInteger, listen: isAddress, network: (n) => n === null || isHex(n, 32) || isHex(n, 64) },
  error: { code: (t) => isText(t, 1, 32), reason: (t) => isText(t, 0, 4096) }, chat: { nonce: (t) => isHex(t, 32), text: (t) => isText(t, 1, 4096) } };
// --- connections
const write = (c, bytes) => c.isClosing || c.socket.write(bytes);
const close = (c) => { c.isClosing = true; c.socket.end(); setTimeout(() => c.socket.destroy(), 2000).unref(); };
function refuse(c, code, reason, isTold = true) {  // shut down, read on, then close: otherwise the error may be lost
  if (isTold) report('error', { code, reason: `${c.name}: ${reason}` });
  write(c, frame({ type: 'error', code, reason })), close(c);
  if (c === joining && isTold) giveUp('the connection was closed before the node had joined');
}
function open(socket, dialled) {
  const c = { socket, dialled, said: network, name: dialled ?? `${socket.remoteAddress}:${socket.remotePort}`, rest: Buffer.alloc(0) };
  connections.add(c), joining = network === null && dialled ? c : joining;
  socket.on('error', () => {}).on('end', () => socket.end()).on('close', () => closed(c)).on('data', (data) => c.isClosing || receive(c, data));
  write(c, frame({ type: 'hello', version: 1, stage: 1, network, listen: own }));
  c.timer = setTimeout(() => c.isClosing || (c === joining ? close(c) : refuse(c, 'HANDSHAKE', 'no hello within 5 seconds')), 5000);
}
function closed(c) {
  if (connections.delete(c) && c.listen) report('peer', { address: c.listen, state: 'down' });
  if (c === joining) failed('the connection was closed'); else if (c.dialled) redial(c.listen ? 1000 : 2 * wait);
}
function receive(c, data) {
  for (c.rest = Buffer.concat([c.rest, data]); c.rest.length >= 4 && !c.isClosing;) {
    const end = 4 + c.rest.readUInt32BE();
    if (end === 4 || end > 4 + 2 ** 22) return refuse(c, 'FRAME', `a length of ${end - 4}`);
    if (c.rest.length < end) return;
    onFrame(c, c.rest.subarray(0, end)), c.rest = c.rest.subarray(end);
  }
}
function onFrame(c, bytes) {
  let m;
  try { m = parse(bytes.subarray(4)); } catch (error) { return refuse(c, 'FRAME', error.message.slice(0, 99).toWellFormed()); }
  const { type, ...members } = m, names = Object.keys(members), shape = Object.hasOwn(SHAPES, type) && SHAPES[type];
  if (!c.listen && type !== 'hello' && type !== 'error') return refuse(c, 'HANDSHAKE', 'expected hello'); else if (!shape) return;
  if (names.length !== Object.keys(shape).length || !names.every((name) => Object.hasOwn(shape, name) && shape[name](m[name]))) return refuse(c, 'FORMAT', `${type}: its form`);
  if (type === 'ping') write(c, frame({ ...m, type: 'pong' })); else if (type === 'chat') onChat(m, bytes, c); else if (type === 'hello') onHello(c, m);
  if (type === 'error' && (c !== joining || m.code !== 'BUSY')) report('error', { code: m.code, reason: `${c.name} says: ${m.reason}` });
  if (type === 'error') close(c), c === joining && m.code !== 'BUSY' && giveUp('the peer has refused this node');
}
function onHello(c, m) {
  if (c.listen) return refuse(c, 'FORMAT', 'a second hello'); else if (m.listen === own && c === joining) giveUp('this node has reached itself: see --announce');
  if (m.listen === own || m.version !== 1 || m.stage !== 1) return refuse(c, 'HANDSHAKE', 'itself, or another version or stage', m.listen !== own || !c.dialled);
  if (m.network === null && c.said === null) return refuse(c, 'HANDSHAKE', 'both nodes are joining', false); else if (network === null ? c !== joining : ![null, network].includes(m.network)) return refuse(c, 'HANDSHAKE', 'another network, or still joining');
  clearTimeout(c.timer), c.listen = m.listen, report('peer', { address: c.listen, state: 'up' }), history.forEach((bytes) => write(c, bytes));
  if (network === null) begin(m.network, 'joined', { peer: c.dialled });
}
// --- joining, founding, coming back
const enter = () => (deadline = Date.now() + 1000 * options.wait, options.peer === 'none' ? begin(random(), 'founded') : isAddress(options.peer) ? dial(failed) : giveUp('expected HOST:PORT'));
function dial(onFailure) {
  const [host, port] = options.peer.split(':'), socket = net.connect({ host, port, allowHalfOpen: true });
  socket.once('error', (error) => onFailure(error.message)).once('connect', () => socket.removeAllListeners('error') && open(socket, options.peer));
}
function begin(name, event, members) { network = name, joining = null, report(event, members), report('listening', { address: own, stage: 1, network }), setImmediate(onInput); }
function failed(reason) { if (network === null) { if (Date.now() < deadline) setTimeout(() => network ?? dial(failed), 500); else giveUp(reason); } }
function giveUp(reason, peer = options.peer) {
  options.peer = null, begin(random(), 'founded');
  report('error', { code: 'NETWORK', reason: `${peer}: ${reason}; this is a network of its own; nobody else is in it` });
}
function redial(delay) { wait = Math.min(delay, 30000), setTimeout(() => options.peer && !isEnding && dial(() => redial(2 * wait)), wait); }
// --- what is typed
function onChat(m, bytes, source) {
  const id = crypto.createHash('sha256').update(JSON.stringify(['chat', network, m.nonce, m.text])).digest('hex');
  if (!history.has(id)) history.set(id, bytes), report('chat', { text: m.text }), links().forEach((c) => c === source || write(c, bytes));
}
function onLine(line) {
  const text = line.replace(/^\/\//, '/'), m = { type: 'chat', nonce: random(), text }, names = ['/help', '/peers', '/quit'];
  const byPort = (a, b) => (a.split(':')[0] === b.split(':')[0] ? a.split(':')[1] - b.split(':')[1] : a < b ? -1 : 1);
  if (isText(text, 1, 4096) && (line[0] !== '/' || text !== line)) onChat(m, frame(m), null);
  else if (line === '/help') report('help', { commands: names.map((command) => ({ command, meaning: 'see the contract' })) });
  else if (line === '/peers') report('peers', { addresses: [...new Set([own, ...links().map((c) => c.listen)])].sort(byPort), connections: links().length });
  else if (line === '/quit') end(); else if (line) report('error', { code: 'COMMAND', reason: 'expected /help, /peers, /quit or at most 4096 characters of UTF-8' });
}
const onAnswer = (line) => (answers.push(line.trim()) === 2 || !answers[0]) && (options.peer = answers[0] ? answers.join(':') : 'none', answers = null, enter());
function onInput() {  // whole lines, once the node belongs to a network, or asks for one
  for (let stop; (network || answers) && !isEnding && ((stop = typed.indexOf(10)) >= 0 || (isOver && typed.length)); typed = typed.subarray(stop < 0 ? typed.length : stop + 1)) {
    try { (answers ? onAnswer : onLine)(utf8.decode(typed.subarray(0, stop < 0 ? typed.length : stop)).replace(/\r$/, '')); } catch { onLine('\ud800'); }
  }
  if (isOver && answers) onAnswer(''); else if (isOver && network && !options.daemon) end();
}
function end() { isEnding = true, server.close(), connections.forEach(close), setInterval(() => connections.size || process.exit(0), 10); }
// --- the beginning
const fail = (status, line) => process.stderr.write(`node.js: ${line}\n`, () => process.exit(status));
const names = { peer: 'string', host: 'string', port: 'string', announce: 'string', wait: 'string', json: 'boolean', daemon: 'boolean', help: 'boolean' };
try { Object.assign(options, require('util').parseArgs({ options: Object.fromEntries(Object.entries(names).map(([name, type]) => [name, { type }])) }).values); } catch { options.port = -1; }
const server = net.createServer({ allowHalfOpen: true }, (socket) => open(socket, null)).on('error', (error) => fail(1, `${error.code}: if another program uses this port: name another one by --port`));
if (options.help) console.log(Object.keys(names).map((name) => '--' + name).join(' '));
else if (!(options.port >= 0 && options.port < 65536 && options.wait >= 0) || !/^[\x00-\x7f]*$/.test(options.host) || !isAddress(options.announce ?? 'a:1')) fail(2, 'a wrong option; --help lists them');
else server.listen(+options.port, options.host, () => {
  own = options.announce ?? `${options.host}:${server.address().port}`;
  process.on('SIGINT', end).on('SIGTERM', end).stdin.on('data', (data) => { typed = Buffer.concat([typed, typed.length < 2 ** 20 ? data : data.subarray(data.indexOf(10) >>> 0)]), onInput(); }).on('end', () => { isOver = true, onInput(); });
  if (options.peer === null) answers = []; else enter();
});
